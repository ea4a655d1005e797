"""history, in a test's mesh."""
# ruff: noqa: N802 - methods have the names of the contract

from parley.history.v1 import history_service_pb2 as pb
from services.chassis.errors import DomainError, Reason, not_found
from tests.edge.state import State, page


class FakeHistory:
    def __init__(self, state: State) -> None:
        self._state = state

    async def GetMessage(self, request: pb.GetMessageRequest) -> pb.GetMessageResponse:
        self._state.conversation(request.conversation_id)
        message = self._state.messages.get(request.message_id)
        if message is None or message.conversation_id != request.conversation_id:
            raise not_found("message")
        return pb.GetMessageResponse(message=message, sibling_ids=self._state.siblings(message))

    async def ListMessages(self, request: pb.ListMessagesRequest) -> pb.ListMessagesResponse:
        if not 0 < request.page_size <= 200:
            raise DomainError(Reason.INVALID_ARGUMENT, "The page is too large.")
        self._state.conversation(request.conversation_id)
        some, following = page(self._messages(request), request.page_size, request.page_token)
        siblings = {}
        if request.with_siblings:
            siblings = {one.message_id: pb.SiblingIds(message_ids=self._state.siblings(one)) for one in some}
        return pb.ListMessagesResponse(messages=some, next_page_token=following, siblings=siblings)

    def _messages(self, request: pb.ListMessagesRequest) -> list[pb.Message]:
        if not request.HasField("leaf_id"):
            mine = (one for one in self._state.messages.values() if one.conversation_id == request.conversation_id)
            return sorted(mine, key=lambda one: one.message_id, reverse=True)
        if request.leaf_id not in self._state.messages:
            raise not_found("message")
        return self._state.branch(request.leaf_id)
