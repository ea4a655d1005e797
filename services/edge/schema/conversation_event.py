"""What happens to the viewer's conversations, on whatever device."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import strawberry

from parley.metadata.v1 import metadata_service_pb2 as metadata_pb
from services.chassis.errors import AWAY, DomainError, Reason
from services.edge.context import Context
from services.edge.feed import Changes
from services.edge.schema.conversation import Conversation
from services.edge.schema.described import described
from services.edge.schema.info import Info
from services.edge.schema.message import Message, get_message


@strawberry.type(description="A conversation was created or changed.")
class ConversationUpdated:
    conversation: Conversation


@strawberry.type(description="A conversation is gone, with its messages.")
class ConversationDeleted:
    id: strawberry.ID


@strawberry.type(description="A message was stored, or a reply ended. A reply IN_PROGRESS can be watched.")
class MessageUpdated:
    message: Message


@strawberry.type(
    description="What happened before this may not have been told: read again what is shown. The first event, and one "
    "after any loss."
)
class ResyncRequired:
    time: datetime


@strawberry.type(description="Nothing new, but alive; at least every 15 seconds.")
class ConversationHeartbeat:
    time: datetime


Event = ConversationUpdated | ConversationDeleted | MessageUpdated | ResyncRequired | ConversationHeartbeat
ConversationEvent = Annotated[Event, strawberry.union("ConversationEvent")]


@strawberry.type
class ConversationSubscription:
    @described
    @strawberry.subscription
    async def conversation_events(self, info: Info) -> AsyncGenerator[ConversationEvent, None]:
        """The viewer's conversations as they change, on every device. An event may come twice, and several as one."""
        context = info.context
        async with aclosing(context.house.watches.follow_conversations(context.require_caller())) as news:
            async for changes in news:
                context.begin_event()
                if changes is None:
                    await context.caller_of_now()  # whose credential was revoked meanwhile hears no more
                    yield ConversationHeartbeat(time=datetime.now(UTC))
                    continue
                try:
                    async with aclosing(_events(context, changes)) as events:
                        async for event in events:
                            yield event
                except DomainError as error:
                    if error.reason not in AWAY:
                        raise
                    yield _resync()


async def _events(context: Context, changes: Changes) -> AsyncGenerator[Event, None]:
    """What the changes are, as the stores have it now. Raises DomainError."""
    if changes.missed:
        yield _resync()
    for conversation_id, itself in changes.conversations.items():
        if itself:
            context.begin_event()
            yield await _conversation(context, conversation_id)
        for message_id in changes.messages.get(conversation_id, ()):
            context.begin_event()
            try:
                message = await get_message(context, conversation_id, message_id)
            except DomainError as error:
                if error.reason is not Reason.NOT_FOUND:
                    raise
            else:
                yield MessageUpdated(message=Message.of(message.message, list(message.sibling_ids)))


async def _conversation(context: Context, conversation_id: str) -> Event:
    request = metadata_pb.GetConversationRequest(conversation_id=conversation_id)
    try:
        answer = await context.call(context.mesh.metadata, context.mesh.conversations.GetConversation, request)
    except DomainError as error:
        if error.reason is not Reason.NOT_FOUND:
            raise
        return ConversationDeleted(id=strawberry.ID(conversation_id))
    return ConversationUpdated(conversation=Conversation.of(answer.conversation))


def _resync() -> ResyncRequired:
    return ResyncRequired(time=datetime.now(UTC))
