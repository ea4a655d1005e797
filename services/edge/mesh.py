"""The services behind the edge."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from parley.auth.v1.account_service_pb2_grpc import AccountServiceStub
from parley.auth.v1.token_service_pb2_grpc import TokenServiceStub
from parley.auth.v1.usage_service_pb2_grpc import UsageServiceStub
from parley.conversation.v1.account_data_service_pb2_grpc import AccountDataServiceStub
from parley.conversation.v1.conversation_service_pb2_grpc import ConversationServiceStub
from parley.history.v1.history_service_pb2_grpc import HistoryServiceStub
from parley.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from parley.metadata.v1.metadata_service_pb2_grpc import MetadataServiceStub
from services.chassis.channel import Peer, open_channel
from services.chassis.tokens import AuthKeys, Tokens
from services.edge.config import Config

NAME = "edge"

SAFE_TO_REPEAT = {
    "auth": (
        "parley.auth.v1.TokenService/ExchangeToken",
        "parley.auth.v1.TokenService/ListSigningKeys",
        "parley.auth.v1.TokenService/RevokeToken",
        "parley.auth.v1.AccountService/GetAccount",
        "parley.auth.v1.AccountService/ListApiKeys",
        "parley.auth.v1.AccountService/RevokeApiKey",
        "parley.auth.v1.UsageService/GetUsage",
    ),
    "conversation": (
        "parley.conversation.v1.AccountDataService",
        "parley.conversation.v1.ConversationService/SendMessage",
        "parley.conversation.v1.ConversationService/RegenerateReply",
        "parley.conversation.v1.ConversationService/CancelReply",
        "parley.conversation.v1.ConversationService/DeleteConversation",
        "parley.conversation.v1.ConversationService/AnnounceConversation",
    ),
    "history": ("parley.history.v1.HistoryService",),
    "metadata": (
        # Each is given an id by the edge at the latest.
        "parley.metadata.v1.MetadataService/CreateConversation",
        "parley.metadata.v1.MetadataService/DeleteConversation",
        "parley.metadata.v1.MetadataService/GetConversation",
        "parley.metadata.v1.MetadataService/ListConversations",
        "parley.metadata.v1.MetadataService/GetSettings",
    ),
    "inference": ("parley.inference.v1.InferenceService/ListModels",),
}
"""What a lost connection may repeat, as the protos promise it."""


class Mesh:
    """A peer for each service, and what it can be asked."""

    def __init__(self, config: Config, channels: dict[str, grpc.aio.Channel]) -> None:
        self.tokens = Tokens(NAME, config.service_secret.get_secret_value(), channels["auth"])
        self.keys = AuthKeys(channels["auth"])
        self.auth, self.conversation, self.history, self.metadata, self.inference = (
            Peer(name, channels[name], self.tokens)
            for name in ("auth", "conversation", "history", "metadata", "inference")
        )
        self.accounts = AccountServiceStub(self.auth.channel)
        self.sessions = TokenServiceStub(self.auth.channel)
        self.usage = UsageServiceStub(self.auth.channel)
        self.turns = ConversationServiceStub(self.conversation.channel)
        self.data = AccountDataServiceStub(self.conversation.channel)
        self.messages = HistoryServiceStub(self.history.channel)
        self.conversations = MetadataServiceStub(self.metadata.channel)
        self.models = InferenceServiceStub(self.inference.channel)


@asynccontextmanager
async def open_mesh(config: Config) -> AsyncIterator[Mesh]:
    """Channels to every service; they connect when first used, and close with the block."""
    addresses = {
        "auth": config.auth_address,
        "conversation": config.conversation_address,
        "history": config.history_address,
        "metadata": config.metadata_address,
        "inference": config.inference_address,
    }
    async with AsyncExitStack() as stack:
        yield Mesh(
            config,
            {
                name: await stack.enter_async_context(open_channel(address, SAFE_TO_REPEAT[name]))
                for name, address in addresses.items()
            },
        )
