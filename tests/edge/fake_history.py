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
        if request.leaf_id not in self._state.messages:
            raise not_found("message")
        some, following = page(self._state.branch(request.leaf_id), request.page_size, request.page_token)
        siblings = {one.message_id: pb.SiblingIds(message_ids=self._state.siblings(one)) for one in some}
        return pb.ListMessagesResponse(messages=some, next_page_token=following, siblings=siblings)
