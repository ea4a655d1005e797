"""Changes of conversations."""

import logging

import strawberry

from parley.auth.v1 import account_service_pb2 as auth_pb
from parley.conversation.v1 import conversation_service_pb2
from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.checks import Checks
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import acting_for
from services.chassis.telemetry import log
from services.edge.context import Context
from services.edge.schema.absent import ABSENT, chosen_id
from services.edge.schema.conversation import Conversation, default_model
from services.edge.schema.described import described
from services.edge.schema.info import Info
from services.edge.schema.model import require_model

logger = logging.getLogger(__name__)

ANNOUNCE_SECONDS = 2.0
DELETE_SECONDS = 20.0
"""A deletion waits until running replies have stopped."""
MAY_BE_NULL = frozenset({"display_name", "system_prompt", "current_leaf_id"})


@strawberry.input
class CreateConversationInput:
    id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="A UUIDv7 of the client's making; with it the call is safe to repeat."
    )
    display_name: str | None = ABSENT
    model: str | None = ABSENT
    system_prompt: str | None = ABSENT


@strawberry.input(description="Absent fields stay as they are; null clears those that may be empty.")
class UpdateConversationInput:
    id: strawberry.ID
    display_name: str | None = ABSENT
    model: str | None = ABSENT
    system_prompt: str | None = ABSENT
    current_leaf_id: strawberry.ID | None = ABSENT
    pinned: bool | None = ABSENT
    archived: bool | None = ABSENT
    etag: str | None = strawberry.field(default=ABSENT, description="Refuse if it changed since.")

    def to_proto(self) -> pb.UpdateConversationRequest:
        request = pb.UpdateConversationRequest(
            conversation=pb.Conversation(conversation_id=self.id, etag=self.etag or "")
        )
        with Checks() as check:
            for name in ("display_name", "model", "system_prompt", "current_leaf_id", "pinned", "archived"):
                value = getattr(self, name)
                if value is ABSENT:
                    continue
                check.that(name, value is not None or name in MAY_BE_NULL, "must not be null")
                request.update_mask.paths.append(name)
                if value is not None:
                    setattr(request.conversation, name, value)
        return request


@strawberry.type
class ConversationMutation:
    @strawberry.mutation
    async def create_conversation(self, info: Info, input: CreateConversationInput) -> Conversation:  # noqa: A002
        context = info.context
        if input.model:
            await require_model(context, input.model)
        conversation = pb.Conversation(
            conversation_id=chosen_id(input.id),
            display_name=input.display_name or "",
            model=input.model or await default_model(context),
            system_prompt=input.system_prompt or "",
        )
        request = pb.CreateConversationRequest(conversation=conversation)
        answer = await context.call(context.mesh.metadata, context.mesh.conversations.CreateConversation, request)
        await _keep_if_open(context, answer.conversation.conversation_id)
        await _announce(context, answer.conversation.conversation_id)
        return Conversation.of(answer.conversation)

    @strawberry.mutation
    async def update_conversation(self, info: Info, input: UpdateConversationInput) -> Conversation:  # noqa: A002
        context = info.context
        request = input.to_proto()
        if "model" in request.update_mask.paths:
            await require_model(context, request.conversation.model)
        answer = await context.call(context.mesh.metadata, context.mesh.conversations.UpdateConversation, request)
        await _announce(context, answer.conversation.conversation_id)
        return Conversation.of(answer.conversation)

    @described
    @strawberry.mutation
    async def delete_conversation(self, info: Info, id: strawberry.ID) -> strawberry.ID:  # noqa: A002
        """Deletes it with all its messages; running replies are stopped first."""
        context = info.context
        request = conversation_service_pb2.DeleteConversationRequest(conversation_id=id)
        await context.call(
            context.mesh.conversation, context.mesh.turns.DeleteConversation, request, seconds=DELETE_SECONDS
        )
        return id


async def _announce(context: Context, conversation_id: str) -> None:
    """Tells the account's other devices. It is stored already, so that a failure here is not one of the operation."""
    request = conversation_service_pb2.AnnounceConversationRequest(conversation_id=conversation_id)
    try:
        await context.call(
            context.mesh.conversation, context.mesh.turns.AnnounceConversation, request, seconds=ANNOUNCE_SECONDS
        )
    except DomainError as error:
        log(logger, logging.WARNING, "change not announced", conversation_id=conversation_id, reason=error.reason)


async def _keep_if_open(context: Context, conversation_id: str) -> None:
    """A deletion of the account that looked for conversations before this one was there leaves it to us."""
    try:
        answer = await context.call(context.mesh.auth, context.mesh.accounts.GetAccount, auth_pb.GetAccountRequest())
        is_open = not answer.account.HasField("close_time")
    except DomainError as error:
        # While auth cannot be asked no deletion ends, and the one that does looks once more.
        is_open = error.reason not in (Reason.NOT_FOUND, Reason.UNAUTHENTICATED)
    if not is_open:
        request = pb.DeleteConversationRequest(conversation_id=conversation_id)
        # With the token that it was created with: for an account that is gone there is no other.
        with acting_for(context.require_caller()):
            await context.mesh.metadata.call(context.mesh.conversations.DeleteConversation, request)
        raise DomainError(Reason.ACCOUNT_CLOSED, "The account is being deleted.")
