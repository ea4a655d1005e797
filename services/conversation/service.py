"""ConversationService: message in, domain call, message out."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from parley.conversation.v1 import conversation_service_pb2 as pb
from parley.conversation.v1.conversation_service_pb2_grpc import ConversationServiceServicer
from services.chassis.checks import Checks
from services.chassis.deadline import within
from services.chassis.errors import DomainError, Reason, from_status, not_found
from services.chassis.identity import caller
from services.conversation import cursor
from services.conversation.asking import check_regenerate, check_reply, check_send
from services.conversation.config import Config
from services.conversation.draft import Turn
from services.conversation.feed import Change, Feeds
from services.conversation.hub import Hub
from services.conversation.journal import Journal
from services.conversation.peers import Peers
from services.conversation.removal import Removal
from services.conversation.sending import Sender
from services.conversation.watch import Watches

CANCEL_SECONDS = 10.0
"""How long CancelReply waits for the reply's end."""

Context = grpc.aio.ServicerContext[Any, Any]


class ConversationService(ConversationServiceServicer):
    def __init__(
        self,
        sender: Sender,
        removal: Removal,
        peers: Peers,
        journal: Journal,
        hub: Hub,
        feeds: Feeds,
        config: Config,
    ) -> None:
        self._sender, self._removal, self._feeds = sender, removal, feeds
        self._peers, self._journal, self._hub, self._config = peers, journal, hub, config
        self._watching: set[Watches] = set()

    def leave(self) -> None:
        """Ends the streams of watchers, so that they go on at another replica."""
        for watches in self._watching:
            watches.leave()

    @contextmanager
    def _watches(self) -> Iterator[Watches]:
        with Watches(self._hub, self._feeds, self._config) as watches:
            self._watching.add(watches)
            try:
                yield watches
            finally:
                self._watching.discard(watches)

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.SendMessageResponse:
        check_send(request)
        caller().require_account()
        return await self._sender.send(request)

    async def RegenerateReply(self, request: pb.RegenerateReplyRequest, context: Context) -> pb.RegenerateReplyResponse:
        check_regenerate(request)
        caller().require_account()
        return pb.RegenerateReplyResponse(reply=await self._sender.regenerate(request))

    async def WatchReply(self, request: pb.WatchReplyRequest, context: Context) -> AsyncIterator[pb.WatchReplyResponse]:
        check_reply(request.conversation_id, request.message_id)
        who = caller()
        turn = Turn(request.message_id, request.conversation_id, who.tenant_id, who.require_account())
        offset = cursor.unseal(request.message_id, request.start_cursor)
        with self._watches() as watches:
            watches.start("", turn, offset)
            seen = request.start_cursor or cursor.seal(request.message_id, 0)
            async for events in watches.responses():
                if not events:
                    yield pb.WatchReplyResponse(cursor=seen, heartbeat=pb.ReplyHeartbeat())
                for event in events:
                    if event.HasField("failure"):
                        raise from_status(event.failure)
                    seen = event.cursor
                    yield _response(event)
                    if event.HasField("ended"):
                        return
        raise DomainError(Reason.UNAVAILABLE, "This replica stops; go on from your cursor.", retry_after=0)

    async def WatchReplies(
        self, request_iterator: AsyncIterator[pb.WatchRepliesRequest], context: Context
    ) -> AsyncIterator[pb.WatchRepliesResponse]:
        caller().require_service("edge")
        with self._watches() as watches:
            reading = asyncio.create_task(_take_commands(request_iterator, watches))
            try:
                async for events in watches.responses():
                    if reading.done():
                        await reading  # the peer closed its side (or broke it: then this raises)
                        return
                    yield pb.WatchRepliesResponse(events=events)
            finally:
                reading.cancel()

    async def CancelReply(self, request: pb.CancelReplyRequest, context: Context) -> pb.CancelReplyResponse:
        check_reply(request.conversation_id, request.message_id)
        who = caller()
        reply = await self._peers.history.find(request.conversation_id, request.message_id)
        if reply is None or not reply.HasField("request"):
            raise not_found("reply")
        if not reply.HasField("result"):
            turn = Turn(reply.message_id, reply.conversation_id, who.tenant_id, who.require_account())
            await self._journal.cancel(turn)
            try:
                async with asyncio.timeout(within(CANCEL_SECONDS)):
                    reply = await self._hub.wait(turn)
            except TimeoutError:
                raise DomainError(Reason.DEADLINE_EXCEEDED, "The reply has not stopped yet, but it will.") from None
        return pb.CancelReplyResponse(reply=reply)

    async def DeleteConversation(
        self, request: pb.DeleteConversationRequest, context: Context
    ) -> pb.DeleteConversationResponse:
        with Checks() as check:
            check.id("conversation_id", request.conversation_id)
        caller().require_account()
        if await self._is_own(request.conversation_id):
            await self._removal.until_ended(await self._removal.stop(request.conversation_id))
            await self._removal.remove(request.conversation_id)
        return pb.DeleteConversationResponse()

    async def AnnounceConversation(
        self, request: pb.AnnounceConversationRequest, context: Context
    ) -> pb.AnnounceConversationResponse:
        with Checks() as check:
            check.id("conversation_id", request.conversation_id)
        who = caller()
        change = Change(who.tenant_id, who.require_account(), request.conversation_id, itself=True)
        await self._journal.announce(change)
        return pb.AnnounceConversationResponse()

    async def _is_own(self, conversation_id: str) -> bool:
        try:
            await self._peers.metadata.conversation(conversation_id)
        except DomainError as error:
            if error.reason is Reason.NOT_FOUND:
                return False
            raise
        return True


async def _take_commands(requests: AsyncIterator[pb.WatchRepliesRequest], watches: Watches) -> None:
    async for request in requests:
        if request.HasField("stop"):
            watches.stop(request.stop.watch_id)
        elif request.HasField("start"):
            try:
                _start(request.start, watches)
            except DomainError as error:
                watches.fail(request.start.watch_id, error)
        elif request.HasField("start_account"):
            start = request.start_account
            watches.start_account(start.watch_id, start.tenant_id, start.account_id)


def _start(start: pb.StartWatch, watches: Watches) -> None:
    reply = start.reply
    check_reply(reply.conversation_id, reply.message_id)
    turn = Turn(reply.message_id, reply.conversation_id, start.tenant_id, start.account_id)
    watches.start(start.watch_id, turn, cursor.unseal(reply.message_id, reply.start_cursor))


def _response(event: pb.WatchEvent) -> pb.WatchReplyResponse:
    response = pb.WatchReplyResponse(cursor=event.cursor)
    if event.HasField("delta"):
        response.delta.CopyFrom(event.delta)
    elif event.HasField("ended"):
        response.ended.CopyFrom(event.ended)
    else:
        response.heartbeat.CopyFrom(event.heartbeat)
    return response
