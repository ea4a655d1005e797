"""The GraphQL schema: queries, mutations and subscriptions, each put together from its nouns."""

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from services.edge.schema.api_key import ApiKeyMutation, ApiKeyQuery
from services.edge.schema.conversation import ConversationQuery
from services.edge.schema.conversation_event import ConversationSubscription
from services.edge.schema.conversation_mutation import ConversationMutation
from services.edge.schema.leaving import LeavingMutation
from services.edge.schema.message import MessageQuery
from services.edge.schema.model import ModelQuery
from services.edge.schema.reply import ReplySubscription
from services.edge.schema.turn import TurnMutation
from services.edge.schema.usage import BIG_INT, BigInt
from services.edge.schema.viewer import ViewerMutation, ViewerQuery


@strawberry.type
class Query(ViewerQuery, ModelQuery, ConversationQuery, MessageQuery, ApiKeyQuery):
    pass


@strawberry.type
class Mutation(ViewerMutation, ApiKeyMutation, ConversationMutation, TurnMutation, LeavingMutation):
    pass


@strawberry.type
class Subscription(ReplySubscription, ConversationSubscription):
    pass


_SCHEMA = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    config=StrawberryConfig(scalar_map={BigInt: BIG_INT}),
)

SDL = f"{_SCHEMA.as_str()}\n"


def executable() -> GraphQLSchema:
    """The schema as graphql-core executes it: the edge's transports prepare and run operations themselves."""
    return _SCHEMA._schema  # noqa: SLF001 - Strawberry's own extensions reach it this way; there is no other
