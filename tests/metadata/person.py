"""Somebody who calls metadata through a real socket."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.channel import Request, Response, UnaryMethod
from services.chassis.errors import DomainError, from_rpc
from services.chassis.ids import new_id
from tests.identity import Signer

if TYPE_CHECKING:
    from parley.metadata.v1.metadata_service_pb2_grpc import MetadataServiceAsyncStub


class Person:
    def __init__(self, stub: MetadataServiceAsyncStub, signer: Signer, account_id: str) -> None:
        self.stub, self.account_id = stub, account_id
        self.metadata = signer.metadata("metadata", account_id)

    async def call(self, method: UnaryMethod[Request, Response], request: Request) -> Response:
        try:
            return await method(request, timeout=10, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from None

    async def create(self, conversation: pb.Conversation) -> pb.Conversation:
        request = pb.CreateConversationRequest(conversation=conversation)
        return (await self.call(self.stub.CreateConversation, request)).conversation

    async def get(self, conversation_id: str) -> pb.Conversation:
        request = pb.GetConversationRequest(conversation_id=conversation_id)
        return (await self.call(self.stub.GetConversation, request)).conversation

    async def list(self, **fields: Any) -> pb.ListConversationsResponse:
        return await self.call(self.stub.ListConversations, pb.ListConversationsRequest(**fields))

    async def update(self, conversation: pb.Conversation, *mask: str) -> pb.Conversation:
        request = pb.UpdateConversationRequest(conversation=conversation, update_mask=FieldMask(paths=mask))
        return (await self.call(self.stub.UpdateConversation, request)).conversation

    async def delete(self, conversation_id: str) -> bool:
        request = pb.DeleteConversationRequest(conversation_id=conversation_id)
        return (await self.call(self.stub.DeleteConversation, request)).deleted

    async def settings(self) -> pb.Settings:
        return (await self.call(self.stub.GetSettings, pb.GetSettingsRequest())).settings

    async def update_settings(self, settings: pb.Settings, *mask: str) -> pb.Settings:
        request = pb.UpdateSettingsRequest(settings=settings, update_mask=FieldMask(paths=mask))
        return (await self.call(self.stub.UpdateSettings, request)).settings

    async def delete_settings(self) -> bool:
        return (await self.call(self.stub.DeleteSettings, pb.DeleteSettingsRequest())).deleted


def new_conversation(**fields: Any) -> pb.Conversation:
    return pb.Conversation(**{"conversation_id": new_id(), "model": "m", **fields})


async def refusal(call: Awaitable[object]) -> DomainError:
    """The error that the call ends with."""
    with pytest.raises(DomainError) as refused:
        await call
    return refused.value
