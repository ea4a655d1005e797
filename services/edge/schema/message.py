"""Messages, and the branches that they make."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import strawberry

from parley.history.v1 import history_service_pb2 as pb
from services.chassis.paging import seal, unseal
from services.chassis.times import to_datetime
from services.edge.context import Context
from services.edge.paging import Fetched, Place, read_slice
from services.edge.schema.connection import Connection
from services.edge.schema.described import described
from services.edge.schema.generation import FinishReason, Role, TokenUsage, UsedParameters
from services.edge.schema.info import Info

PAGE_LIMIT = 200
"""Of ListMessages."""


@strawberry.enum(description="How far a message is.")
class MessageStatus(Enum):
    IN_PROGRESS = pb.MESSAGE_STATUS_IN_PROGRESS
    COMPLETED = pb.MESSAGE_STATUS_COMPLETED
    CANCELLED = pb.MESSAGE_STATUS_CANCELLED
    FAILED = pb.MESSAGE_STATUS_FAILED


@strawberry.type(description="One message of a conversation, which is a tree of them.")
class Message:
    id: strawberry.ID
    conversation_id: strawberry.ID
    parent_id: strawberry.ID | None
    role: Role
    text: str = strawberry.field(description="What is said; of a reply in progress empty.")
    status: MessageStatus
    model: str | None
    finish_reason: FinishReason | None
    usage: TokenUsage | None
    create_time: datetime
    context_start_id: strawberry.ID | None = strawberry.field(
        description="Of a reply: the oldest message that the model was given; null for the whole branch."
    )
    failure_reason: str | None = strawberry.field(description="Of a FAILED reply: why, as an error's code.")
    parameters: UsedParameters | None
    known_siblings: strawberry.Private[list[str] | None] = None

    @described
    @strawberry.field
    async def sibling_ids(self, info: Info) -> list[strawberry.ID]:
        """The messages under the same parent, this one included, oldest first."""
        siblings = self.known_siblings
        if siblings is None:
            siblings = list((await get_message(info.context, self.conversation_id, self.id)).sibling_ids)
        return [strawberry.ID(sibling) for sibling in siblings]

    @classmethod
    def of(cls, message: pb.Message, siblings: list[str] | None = None) -> "Message":
        result = message.result if message.HasField("result") else None
        request = message.request if message.HasField("request") else None
        start = request.context_start_id if request and request.HasField("context_start_id") else None
        return cls(
            id=strawberry.ID(message.message_id),
            conversation_id=strawberry.ID(message.conversation_id),
            parent_id=strawberry.ID(message.parent_id) if message.HasField("parent_id") else None,
            role=Role(message.role),
            text=message.text,
            status=MessageStatus(message.status),
            model=request.model if request else None,
            finish_reason=FinishReason(result.finish_reason) if result else None,
            usage=TokenUsage.of(result.usage) if result else None,
            create_time=to_datetime(message.create_time),
            context_start_id=strawberry.ID(start) if start else None,
            failure_reason=(result.failure_reason or None) if result else None,
            parameters=UsedParameters.of(request.parameters) if request else None,
            known_siblings=siblings,
        )


@dataclass(frozen=True, slots=True)
class Branch:
    """A place on the branch that ends at a leaf. Its cursor names the leaf, so that pages stay on one branch while the
    conversation moves on."""

    leaf_id: str
    place: Place

    def cursor(self, conversation_id: str) -> str:
        return seal(f"messages/{conversation_id}", f"{self.leaf_id}/{self.place}")

    @classmethod
    def read(cls, conversation_id: str, cursor: str) -> "Branch | None":
        """Raises INVALID_PAGE_TOKEN for a cursor of another conversation."""
        position = unseal(f"messages/{conversation_id}", cursor)
        if position is None:
            return None
        leaf_id, _, place = position.partition("/")
        return cls(leaf_id, Place.read(place))


async def get_message(context: Context, conversation_id: str, message_id: str) -> pb.GetMessageResponse:
    request = pb.GetMessageRequest(conversation_id=conversation_id, message_id=message_id, with_siblings=True)
    return await context.call(context.mesh.history, context.mesh.messages.GetMessage, request)


async def list_branch(
    context: Context, conversation_id: str, branch: Branch, last: int, *, started: bool
) -> Connection[Message]:
    """The `last` messages of a branch before its place."""
    siblings: dict[str, list[str]] = {}

    async def fetch(token: str, size: int) -> Fetched[pb.Message]:
        request = pb.ListMessagesRequest(
            conversation_id=conversation_id,
            leaf_id=branch.leaf_id,
            page_size=size,
            page_token=token,
            with_siblings=True,
        )
        answer = await context.call(context.mesh.history, context.mesh.messages.ListMessages, request)
        siblings.update({of: list(ids.message_ids) for of, ids in answer.siblings.items()})
        return Fetched(answer.messages, answer.next_page_token)

    def cursor(place: Place) -> str:
        return Branch(branch.leaf_id, place).cursor(conversation_id)

    page = await read_slice(fetch, branch.place, last, PAGE_LIMIT)
    return Connection.backwards(
        page, cursor, lambda message: Message.of(message, siblings.get(message.message_id)), started=started
    )


@strawberry.type
class MessageQuery:
    @strawberry.field
    async def message(self, info: Info, id: strawberry.ID, conversation_id: strawberry.ID) -> Message | None:  # noqa: A002
        answer = await get_message(info.context, conversation_id, id)
        return Message.of(answer.message, list(answer.sibling_ids))
