"""metadata, in a test's mesh."""
# ruff: noqa: N802 - methods have the names of the contract

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.checks import Checks
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import caller
from tests.edge.state import State, page


class FakeMetadata:
    def __init__(self, state: State) -> None:
        self._state = state

    async def CreateConversation(self, request: pb.CreateConversationRequest) -> pb.CreateConversationResponse:
        with Checks() as check:
            check.id("conversation.conversation_id", request.conversation.conversation_id)
            check.text("conversation.display_name", request.conversation.display_name, max_bytes=200)
        conversation = pb.Conversation()
        conversation.CopyFrom(request.conversation)
        conversation.etag = "1"
        conversation.create_time.GetCurrentTime()
        conversation.update_time.GetCurrentTime()
        key = (caller().require_account(), conversation.conversation_id)
        return pb.CreateConversationResponse(conversation=self._state.conversations.setdefault(key, conversation))

    async def GetConversation(self, request: pb.GetConversationRequest) -> pb.GetConversationResponse:
        return pb.GetConversationResponse(conversation=self._state.conversation(request.conversation_id))

    async def ListConversations(self, request: pb.ListConversationsRequest) -> pb.ListConversationsResponse:
        mine = [
            conversation
            for (account_id, _), conversation in reversed(self._state.conversations.items())
            if account_id == caller().account_id
            and (not request.filter.HasField("archived") or conversation.archived == request.filter.archived)
            and request.filter.display_name_contains in conversation.display_name
        ]
        some, following = page(mine, request.page_size, request.page_token)
        return pb.ListConversationsResponse(conversations=some, next_page_token=following)

    async def UpdateConversation(self, request: pb.UpdateConversationRequest) -> pb.UpdateConversationResponse:
        stored = self._state.conversation(request.conversation.conversation_id)
        if request.conversation.etag not in ("", stored.etag):
            raise DomainError(Reason.ETAG_MISMATCH, "The conversation has changed.", metadata={"etag": stored.etag})
        for name in request.update_mask.paths:
            if name == "current_leaf_id" and not request.conversation.HasField("current_leaf_id"):
                stored.ClearField("current_leaf_id")
            else:
                setattr(stored, name, getattr(request.conversation, name))
        stored.etag = str(int(stored.etag) + 1)
        return pb.UpdateConversationResponse(conversation=stored)

    async def DeleteConversation(self, request: pb.DeleteConversationRequest) -> pb.DeleteConversationResponse:
        deleted = self._state.conversations.pop((caller().require_account(), request.conversation_id), None)
        return pb.DeleteConversationResponse(deleted=deleted is not None)

    async def GetSettings(self, _: pb.GetSettingsRequest) -> pb.GetSettingsResponse:
        return pb.GetSettingsResponse(settings=self._state.settings)
