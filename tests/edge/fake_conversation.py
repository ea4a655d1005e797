"""One replica of conversation, in a test's mesh."""
# ruff: noqa: N802 - methods have the names of the contract

import asyncio
from collections.abc import AsyncIterator

import grpc

from parley.conversation.v1 import account_data_service_pb2 as data_pb
from parley.conversation.v1 import conversation_service_pb2 as pb
from parley.history.v1 import history_service_pb2
from parley.inference.v1 import generation_pb2
from services.chassis.errors import DomainError, Reason, not_found, to_status
from services.chassis.identity import caller
from services.chassis.ids import time_of
from tests.edge.journal import Journal, Listener, Reader
from tests.edge.state import State

SILENCE = 0.2
"""Seconds between two responses at most."""
RESPONSE_BYTES = 1024 * 1024
"""Several large events are sent one by one: a message that is too long would end the stream."""


class FakeAccountData:
    def __init__(self, state: State) -> None:
        self._state = state

    async def DeleteAccount(self, _: data_pb.DeleteAccountRequest) -> data_pb.DeleteAccountResponse:
        account_id = caller().require_account()
        self._state.accounts[account_id].close_time.GetCurrentTime()
        if self._state.dies_while_deleting:
            self._state.dies_while_deleting = False
            raise DomainError(Reason.DEADLINE_EXCEEDED, "Not all of it is deleted yet.", retry_after=0)
        mine = [key for key in self._state.conversations if key[0] == account_id]
        for key in mine:
            del self._state.conversations[key]
        self._state.credentials = {
            secret: owner for secret, owner in self._state.credentials.items() if owner != account_id
        }
        del self._state.accounts[account_id]
        deleted = data_pb.DeletedRecords(store="metadata", kind="conversations", count=len(mine))
        return data_pb.DeleteAccountResponse(receipt=[deleted])


class FakeConversation:
    def __init__(self, state: State) -> None:
        self._state = state
        self.frozen = asyncio.Event()
        """While set, streams say nothing, as those of a stopped process."""
        self.away = asyncio.Event()
        """While set, streams end at once."""
        self.refused = asyncio.Event()
        self.streams = 0
        self.starts: list[pb.StartWatch] = []
        self.stops: list[str] = []

    async def SendMessage(self, request: pb.SendMessageRequest) -> pb.SendMessageResponse:
        conversation = self._state.conversation(request.conversation_id)
        parent = request.parent_id if request.HasField("parent_id") else conversation.current_leaf_id
        user = history_service_pb2.Message(
            conversation_id=request.conversation_id,
            message_id=request.message_id,
            parent_id=parent or None,
            role=generation_pb2.ROLE_USER,
            text=request.text,
            status=history_service_pb2.MESSAGE_STATUS_COMPLETED,
        )
        user.create_time.FromDatetime(time_of(request.message_id))
        user = self._state.messages.setdefault(user.message_id, user)
        model = request.model or conversation.model
        reply = self._reply(user, request.reply_id, model, request.parameters)
        conversation.current_leaf_id = reply.message_id
        return pb.SendMessageResponse(user_message=user, reply=reply)

    async def RegenerateReply(self, request: pb.RegenerateReplyRequest) -> pb.RegenerateReplyResponse:
        self._state.conversation(request.conversation_id)
        earlier = self._state.messages[request.message_id]
        parent = self._state.messages[earlier.parent_id]
        model = request.model or earlier.request.model
        return pb.RegenerateReplyResponse(reply=self._reply(parent, request.reply_id, model, request.parameters))

    def _reply(
        self,
        parent: history_service_pb2.Message,
        reply_id: str,
        model: str,
        parameters: generation_pb2.GenerationParameters,
    ) -> history_service_pb2.Message:
        used = generation_pb2.GenerationParameters(temperature=0.5, top_p=0.9, max_output_tokens=100, seed=1)
        used.MergeFrom(parameters)
        reply = history_service_pb2.Message(
            conversation_id=parent.conversation_id,
            message_id=reply_id,
            parent_id=parent.message_id,
            role=generation_pb2.ROLE_ASSISTANT,
            status=history_service_pb2.MESSAGE_STATUS_IN_PROGRESS,
            request=history_service_pb2.ReplyRequest(
                model=model, parameters=used, context_start_id=parent.message_id if model == "short" else None
            ),
        )
        reply.create_time.FromDatetime(time_of(reply_id))
        reply = self._state.messages.setdefault(reply_id, reply)
        self._state.journals.setdefault(reply_id, Journal(reply, self._state.changes))
        return reply

    async def CancelReply(self, request: pb.CancelReplyRequest) -> pb.CancelReplyResponse:
        self._state.conversation(request.conversation_id)
        journal = self._state.journals.get(request.message_id)
        if journal is None:
            raise not_found("reply")
        journal.end(history_service_pb2.MESSAGE_STATUS_CANCELLED, generation_pb2.FINISH_REASON_CANCELLED)
        return pb.CancelReplyResponse(reply=journal.message)

    async def DeleteConversation(self, request: pb.DeleteConversationRequest) -> pb.DeleteConversationResponse:
        self._state.conversations.pop((caller().require_account(), request.conversation_id), None)
        return pb.DeleteConversationResponse()

    async def AnnounceConversation(self, request: pb.AnnounceConversationRequest) -> pb.AnnounceConversationResponse:
        change = pb.ConversationChange(conversation_id=request.conversation_id, conversation_changed=True)
        self._state.tell(caller().require_account(), change)
        return pb.AnnounceConversationResponse()

    async def WatchReplies(
        self, requests: AsyncIterator[pb.WatchRepliesRequest], _: grpc.aio.ServicerContext[object, object]
    ) -> AsyncIterator[pb.WatchRepliesResponse]:
        caller().require_service("edge")
        self.streams += 1
        readers: dict[str, Reader | Listener] = {}
        failures: list[pb.WatchEvent] = []
        news = asyncio.Event()
        self._state.changes.add(news)
        commands = asyncio.create_task(self._take(requests, readers, failures, news))
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENCE):
                        await news.wait()
                except TimeoutError:
                    pass
                news.clear()
                if self.away.is_set():
                    self.refused.set()
                    return
                if self.frozen.is_set():
                    continue
                events = [*failures, *(event for reader in readers.values() for event in reader.events())]
                failures.clear()
                for event in events:
                    if event.WhichOneof("event") in ("ended", "failure"):
                        readers.pop(event.watch_id, None)
                response = pb.WatchRepliesResponse(events=events)
                if response.ByteSize() <= RESPONSE_BYTES:
                    yield response
                else:
                    for event in events:
                        yield pb.WatchRepliesResponse(events=[event])
        finally:
            self._state.changes.remove(news)
            commands.cancel()

    async def _take(
        self,
        requests: AsyncIterator[pb.WatchRepliesRequest],
        readers: dict[str, Reader | Listener],
        failures: list[pb.WatchEvent],
        news: asyncio.Event,
    ) -> None:
        async for request in requests:
            if request.HasField("start"):
                self.starts.append(request.start)
                try:
                    readers[request.start.watch_id] = self._reader(request.start)
                except DomainError as error:
                    failures.append(pb.WatchEvent(watch_id=request.start.watch_id, failure=to_status(error)))
            elif request.HasField("start_account"):
                start = request.start_account
                readers[start.watch_id] = Listener(start.watch_id, start.account_id, self._state.told)
            else:
                self.stops.append(request.stop.watch_id)
                readers.pop(request.stop.watch_id, None)
            news.set()
            self._state.commands.set()

    def _reader(self, start: pb.StartWatch) -> Reader:
        key = (start.account_id, start.reply.conversation_id)
        journal = self._state.journals.get(start.reply.message_id)
        if key not in self._state.conversations or journal is None:
            raise not_found("reply")
        return Reader(start.watch_id, journal, start.reply.start_cursor)
