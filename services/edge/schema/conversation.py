"""Conversations, without their messages."""

from datetime import datetime

import strawberry

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.chassis.times import to_datetime
from services.edge.context import Context
from services.edge.paging import Cursors, Fetched, Place, page_size, read_slice
from services.edge.schema.absent import ABSENT, given
from services.edge.schema.connection import Connection
from services.edge.schema.described import described
from services.edge.schema.info import Info
from services.edge.schema.message import Branch, Message, list_branch
from services.edge.schema.model import list_models

PAGE_LIMIT = 100
"""Of ListConversations."""


@strawberry.type(description="A conversation.")
class Conversation:
    id: strawberry.ID
    display_name: str
    model: str = strawberry.field(description="Answers unless a message asks for another.")
    system_prompt: str | None
    create_time: datetime
    update_time: datetime
    current_leaf_id: strawberry.ID | None = strawberry.field(description="Where the shown branch ends.")
    pinned: bool
    archived: bool
    etag: str = strawberry.field(description="Changes with every change of the conversation.")

    @described
    @strawberry.field
    async def messages(
        self, info: Info, leaf_id: strawberry.ID | None = ABSENT, last: int | None = 50, before: str | None = ABSENT
    ) -> Connection[Message]:
        """The branch that ends at leafId (the current leaf), oldest first."""
        size = page_size("last", last, 50, info.context.house.config.max_page_size)
        branch = Branch.read(self.id, given(before) or "")
        if branch and leaf_id and branch.leaf_id != leaf_id:
            raise DomainError(Reason.INVALID_PAGE_TOKEN, "The cursor belongs to another branch.")
        leaf = branch.leaf_id if branch else leaf_id or self.current_leaf_id
        if leaf is None:
            return Connection.empty()
        return await list_branch(
            info.context, self.id, branch or Branch(leaf, Place()), size, started=branch is not None
        )

    @classmethod
    def of(cls, conversation: pb.Conversation) -> "Conversation":
        leaf = conversation.current_leaf_id if conversation.HasField("current_leaf_id") else None
        return cls(
            id=strawberry.ID(conversation.conversation_id),
            display_name=conversation.display_name,
            model=conversation.model,
            system_prompt=conversation.system_prompt or None,
            create_time=to_datetime(conversation.create_time),
            update_time=to_datetime(conversation.update_time),
            current_leaf_id=strawberry.ID(leaf) if leaf else None,
            pinned=conversation.pinned,
            archived=conversation.archived,
            etag=conversation.etag,
        )


@strawberry.input(description="Absent fields do not narrow.")
class ConversationFilter:
    archived: bool | None = ABSENT
    display_name_contains: str | None = ABSENT

    def to_proto(self) -> pb.ConversationFilter:
        return pb.ConversationFilter(
            archived=given(self.archived), display_name_contains=self.display_name_contains or ""
        )


@strawberry.type
class ConversationQuery:
    @strawberry.field
    async def conversation(self, info: Info, id: strawberry.ID) -> Conversation | None:  # noqa: A002
        context = info.context
        request = pb.GetConversationRequest(conversation_id=id)
        answer = await context.call(context.mesh.metadata, context.mesh.conversations.GetConversation, request)
        return Conversation.of(answer.conversation)

    @described
    @strawberry.field
    async def conversations(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = ABSENT,
        filter: ConversationFilter | None = ABSENT,  # noqa: A002
    ) -> Connection[Conversation]:
        """Pinned ones first, then the latest updated first."""
        context = info.context
        size = page_size("first", first, 20, context.house.config.max_page_size)
        wanted = (filter or ConversationFilter()).to_proto()
        cursors = Cursors(f"conversations/{wanted.SerializeToString(deterministic=True).hex()}")

        async def fetch(token: str, size: int) -> Fetched[pb.Conversation]:
            request = pb.ListConversationsRequest(page_size=size, page_token=token, filter=wanted)
            answer = await context.call(context.mesh.metadata, context.mesh.conversations.ListConversations, request)
            return Fetched(answer.conversations, answer.next_page_token)

        page = await read_slice(fetch, cursors.read(given(after)), size, PAGE_LIMIT)
        return Connection.forwards(page, cursors.write, Conversation.of, started=bool(after))


async def default_model(context: Context) -> str:
    """What the viewer chose, or else the deployment's default."""
    request = pb.GetSettingsRequest()
    answer = await context.call(context.mesh.metadata, context.mesh.conversations.GetSettings, request)
    if answer.settings.default_model:
        return answer.settings.default_model
    models = await list_models(context)
    if not models:
        raise DomainError(Reason.UNAVAILABLE, "There is no model to talk to yet.", retry_after=1)
    return models[0].id
