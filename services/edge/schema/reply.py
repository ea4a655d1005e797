"""A reply as it is written."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from parley.conversation.v1 import conversation_service_pb2 as pb
from services.edge.schema.absent import ABSENT
from services.edge.schema.described import described
from services.edge.schema.info import Info
from services.edge.schema.message import Message
from services.edge.watch import Delta, Ended, Event, Heartbeat


@strawberry.type(description="More text. All deltas together are the reply's text, byte for byte.")
class ReplyDelta:
    cursor: str = strawberry.field(description="Go on after this event with reply(after:).")
    text: str


@strawberry.type(description="The reply ended; the last event.")
class ReplyEnded:
    cursor: str
    message: Message


@strawberry.type(description="Nothing new, but alive; at least every 15 seconds.")
class ReplyHeartbeat:
    cursor: str
    queue_position: int | None = strawberry.field(description="Where the reply waits for an engine; 0 is next.")


ReplyEvent = Annotated[ReplyDelta | ReplyEnded | ReplyHeartbeat, strawberry.union("ReplyEvent")]


def to_wire(event: Event) -> ReplyDelta | ReplyEnded | ReplyHeartbeat:
    match event:
        case Delta(cursor, text):
            return ReplyDelta(cursor=cursor, text=text)
        case Ended(cursor, message):
            return ReplyEnded(cursor=cursor, message=Message.of(message))
        case Heartbeat(cursor, queue_position):
            return ReplyHeartbeat(cursor=cursor, queue_position=queue_position)


@strawberry.type
class ReplySubscription:
    @described
    @strawberry.subscription
    async def reply(
        self, info: Info, conversation_id: strawberry.ID, message_id: strawberry.ID, after: str | None = ABSENT
    ) -> AsyncGenerator[ReplyEvent, None]:
        """A reply from a cursor, else from its start; ends after its terminal event."""
        request = pb.WatchReplyRequest(conversation_id=conversation_id, message_id=message_id, start_cursor=after or "")
        context = info.context
        async with aclosing(context.house.watches.follow(request, context.require_caller())) as events:
            async for event in events:
                yield to_wire(event)
