"""The services that conversation calls, as the domain sees them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from google.protobuf.field_mask_pb2 import FieldMask

from parley.auth.v1 import account_service_pb2 as account_pb
from parley.auth.v1 import usage_service_pb2 as usage_pb
from parley.auth.v1.account_service_pb2_grpc import AccountServiceStub
from parley.auth.v1.usage_service_pb2_grpc import UsageServiceStub
from parley.history.v1 import history_service_pb2 as history_pb
from parley.history.v1.history_service_pb2_grpc import HistoryServiceStub
from parley.inference.v1.generation_pb2 import TokenUsage
from parley.metadata.v1 import metadata_service_pb2 as metadata_pb
from parley.metadata.v1.metadata_service_pb2_grpc import MetadataServiceStub
from services.chassis.channel import Peer
from services.chassis.errors import DomainError, Reason

BRANCH_PAGE = 100
CONVERSATIONS_PAGE = 100
DELETE_SECONDS = 15.0
"""For a conversation of any length."""


class History:
    """Messages. Every method raises DomainError."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._stub = peer, HistoryServiceStub(peer.channel)

    async def find(self, conversation_id: str, message_id: str) -> history_pb.Message | None:
        """The message, or None if the caller has no such one."""
        request = history_pb.GetMessageRequest(conversation_id=conversation_id, message_id=message_id)
        try:
            return (await self._peer.call(self._stub.GetMessage, request)).message
        except DomainError as error:
            if error.reason is Reason.NOT_FOUND:
                return None
            raise

    async def find_all(self, conversation_id: str, *message_ids: str) -> dict[str, history_pb.Message]:
        """Those of the messages that the caller has, by id; an empty id stands for none."""
        wanted = {message_id for message_id in message_ids if message_id}
        request = history_pb.BatchGetMessagesRequest(conversation_id=conversation_id, message_ids=wanted)
        answer = await self._peer.call(self._stub.BatchGetMessages, request)
        return {message.message_id: message for message in answer.messages}

    async def create(self, *messages: history_pb.Message) -> list[history_pb.Message]:
        """The messages as stored, in their order; the next is written only after the one before."""
        request = history_pb.BatchCreateMessagesRequest(messages=messages)
        return list((await self._peer.call(self._stub.BatchCreateMessages, request)).messages)

    async def complete(self, reply: history_pb.Message, result: history_pb.ReplyResult) -> history_pb.Message:
        """The reply with the result that stays."""
        request = history_pb.CompleteMessageRequest(
            conversation_id=reply.conversation_id, message_id=reply.message_id, result=result
        )
        return (await self._peer.call(self._stub.CompleteMessage, request)).message

    async def branch(self, conversation_id: str, leaf_id: str) -> AsyncIterator[history_pb.Message]:
        """The branch that ends at a leaf, newest first, read as far as it is asked for."""
        token = ""
        while True:
            request = history_pb.ListMessagesRequest(
                conversation_id=conversation_id, leaf_id=leaf_id, page_size=BRANCH_PAGE, page_token=token
            )
            page = await self._peer.call(self._stub.ListMessages, request)
            for message in page.messages:
                yield message
            token = page.next_page_token
            if not token:
                return

    async def delete(self, conversation_id: str) -> int:
        """Returns how many messages there were."""
        request = history_pb.DeleteMessagesRequest(conversation_id=conversation_id)
        return (await self._peer.call(self._stub.DeleteMessages, request, seconds=DELETE_SECONDS)).deleted


class Metadata:
    """Conversations. Every method raises DomainError."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._stub = peer, MetadataServiceStub(peer.channel)

    async def conversation(self, conversation_id: str) -> metadata_pb.Conversation:
        request = metadata_pb.GetConversationRequest(conversation_id=conversation_id)
        return (await self._peer.call(self._stub.GetConversation, request)).conversation

    async def update(self, conversation: metadata_pb.Conversation, *fields: str) -> None:
        request = metadata_pb.UpdateConversationRequest(
            conversation=conversation, update_mask=FieldMask(paths=list(fields))
        )
        await self._peer.call(self._stub.UpdateConversation, request)

    async def delete(self, conversation_id: str) -> bool:
        """Returns whether there was one."""
        request = metadata_pb.DeleteConversationRequest(conversation_id=conversation_id)
        return (await self._peer.call(self._stub.DeleteConversation, request)).deleted

    async def conversations(self) -> AsyncIterator[list[str]]:
        """The ids of the caller's conversations in pages, read as far as they are asked for."""
        token = ""
        while True:
            page = await self._list(token)
            yield [conversation.conversation_id for conversation in page.conversations]
            token = page.next_page_token
            if not token:
                return

    async def some_conversations(self) -> list[str]:
        """The ids of some; none if there are none."""
        return [conversation.conversation_id for conversation in (await self._list("")).conversations]

    async def _list(self, token: str) -> metadata_pb.ListConversationsResponse:
        request = metadata_pb.ListConversationsRequest(page_size=CONVERSATIONS_PAGE, page_token=token)
        return await self._peer.call(self._stub.ListConversations, request)

    async def delete_settings(self) -> int:
        """Returns how many there were: one or none."""
        return int((await self._peer.call(self._stub.DeleteSettings, metadata_pb.DeleteSettingsRequest())).deleted)


class Ledger:
    """The caller's tokens. Every method raises DomainError."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._stub = peer, UsageServiceStub(peer.channel)

    async def reserve(self, turn_id: str, model: str, tokens: int) -> None:
        request = usage_pb.ReserveUsageRequest(reservation_id=turn_id, model=model, tokens=tokens)
        await self._peer.call(self._stub.ReserveUsage, request)

    async def settle(self, turn_id: str, usage: TokenUsage) -> None:
        await self._peer.call(self._stub.SettleUsage, usage_pb.SettleUsageRequest(reservation_id=turn_id, usage=usage))

    async def release(self, turn_id: str) -> None:
        await self._peer.call(self._stub.ReleaseUsage, usage_pb.ReleaseUsageRequest(reservation_id=turn_id))

    async def reserved(self) -> int:
        """Tokens that are set aside for replies in progress."""
        return (await self._peer.call(self._stub.GetUsage, usage_pb.GetUsageRequest())).usage.reserved_tokens


class Accounts:
    """The caller's account. Every method raises DomainError."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._stub = peer, AccountServiceStub(peer.channel)

    async def close(self) -> None:
        await self._peer.call(self._stub.CloseAccount, account_pb.CloseAccountRequest())

    async def delete(self) -> Mapping[str, int]:
        """Returns how many rows of each kind there were."""
        request = account_pb.DeleteAccountRequest()
        return (await self._peer.call(self._stub.DeleteAccount, request, seconds=DELETE_SECONDS)).deleted


@dataclass(frozen=True, slots=True)
class Peers:
    history: History
    metadata: Metadata
    ledger: Ledger
