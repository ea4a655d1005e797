"""Sending messages, and what becomes of the replies."""

import strawberry

from parley.conversation.v1 import conversation_service_pb2 as pb
from services.edge.schema.absent import ABSENT, chosen_id, given
from services.edge.schema.described import described
from services.edge.schema.generation import GenerationParametersInput
from services.edge.schema.info import Info
from services.edge.schema.message import Message

CANCEL_SECONDS = 20.0
"""A cancellation waits until the reply's slot is free."""


@strawberry.input(description="Repeating a call with the same ids repeats its answer.")
class SendMessageInput:
    conversation_id: strawberry.ID
    text: str
    parent_id: strawberry.ID | None = strawberry.field(
        default=ABSENT,
        description="Absent: the current leaf. An older message makes a branch, which is also how to edit.",
    )
    message_id: strawberry.ID | None = strawberry.field(default=ABSENT, description="A UUIDv7 of the client's making.")
    reply_id: strawberry.ID | None = strawberry.field(default=ABSENT, description="Another UUIDv7.")
    model: str | None = ABSENT
    parameters: GenerationParametersInput | None = ABSENT

    def to_proto(self) -> pb.SendMessageRequest:
        return pb.SendMessageRequest(
            conversation_id=self.conversation_id,
            parent_id=given(self.parent_id),
            text=self.text,
            message_id=chosen_id(self.message_id),
            reply_id=chosen_id(self.reply_id),
            model=self.model or "",
            parameters=self.parameters.to_proto() if self.parameters else None,
        )


@strawberry.type
class SendMessagePayload:
    user_message: Message
    reply: Message = strawberry.field(description="In progress, unless the call repeats an older one.")


@strawberry.input
class RegenerateReplyInput:
    conversation_id: strawberry.ID
    message_id: strawberry.ID = strawberry.field(description="The reply to write anew.")
    reply_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The new reply's id, a UUIDv7; with it the call is safe to repeat."
    )
    model: str | None = ABSENT
    parameters: GenerationParametersInput | None = ABSENT

    def to_proto(self) -> pb.RegenerateReplyRequest:
        return pb.RegenerateReplyRequest(
            conversation_id=self.conversation_id,
            message_id=self.message_id,
            reply_id=chosen_id(self.reply_id),
            model=self.model or "",
            parameters=self.parameters.to_proto() if self.parameters else None,
        )


@strawberry.type
class TurnMutation:
    @described
    @strawberry.mutation
    async def send_message(self, info: Info, input: SendMessageInput) -> SendMessagePayload:  # noqa: A002
        """Stores a message and has its reply generated; answers before the first token."""
        context = info.context
        answer = await context.call(context.mesh.conversation, context.mesh.turns.SendMessage, input.to_proto())
        return SendMessagePayload(user_message=Message.of(answer.user_message), reply=Message.of(answer.reply))

    @described
    @strawberry.mutation
    async def regenerate_reply(self, info: Info, input: RegenerateReplyInput) -> Message:  # noqa: A002
        """Has another reply generated beside an earlier one."""
        context = info.context
        answer = await context.call(context.mesh.conversation, context.mesh.turns.RegenerateReply, input.to_proto())
        return Message.of(answer.reply)

    @described
    @strawberry.mutation
    async def cancel_reply(self, info: Info, message_id: strawberry.ID, conversation_id: strawberry.ID) -> Message:
        """Stops a reply and returns it as it ended."""
        context = info.context
        request = pb.CancelReplyRequest(conversation_id=conversation_id, message_id=message_id)
        answer = await context.call(
            context.mesh.conversation, context.mesh.turns.CancelReply, request, seconds=CANCEL_SECONDS
        )
        return Message.of(answer.reply)
