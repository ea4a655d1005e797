"""A mesh of dictionaries: it really serves the contracts on loopback, with real tokens, and does as a test says."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from parley.auth.v1 import account_service_pb2, token_service_pb2, usage_service_pb2
from parley.conversation.v1 import account_data_service_pb2, conversation_service_pb2
from parley.history.v1 import history_service_pb2
from parley.inference.v1 import inference_service_pb2
from parley.metadata.v1 import metadata_service_pb2
from services.chassis.door import Door
from services.chassis.identity import caller
from tests.edge.fake_auth import FakeAccounts, FakeTokens, FakeUsage
from tests.edge.fake_conversation import FakeAccountData, FakeConversation
from tests.edge.fake_history import FakeHistory
from tests.edge.fake_inference import FakeInference
from tests.edge.fake_metadata import FakeMetadata
from tests.edge.state import State

_NEED_NO_CALLER = frozenset(
    {"/parley.auth.v1.TokenService/ExchangeToken", "/parley.auth.v1.TokenService/ListSigningKeys"}
)
SERVICES: dict[str, Callable[[State], dict[ServiceDescriptor, object]]] = {
    "auth": lambda state: {
        account_service_pb2.DESCRIPTOR.services_by_name["AccountService"]: FakeAccounts(state),
        token_service_pb2.DESCRIPTOR.services_by_name["TokenService"]: FakeTokens(state),
        usage_service_pb2.DESCRIPTOR.services_by_name["UsageService"]: FakeUsage(),
    },
    "metadata": lambda state: {
        metadata_service_pb2.DESCRIPTOR.services_by_name["MetadataService"]: FakeMetadata(state)
    },
    "history": lambda state: {history_service_pb2.DESCRIPTOR.services_by_name["HistoryService"]: FakeHistory(state)},
    "inference": lambda state: {
        inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"]: FakeInference(state)
    },
    "conversation": lambda state: {
        conversation_service_pb2.DESCRIPTOR.services_by_name["ConversationService"]: FakeConversation(state),
        account_data_service_pb2.DESCRIPTOR.services_by_name["AccountDataService"]: FakeAccountData(state),
    },
}


class Replica:
    """One process of a service, as far as its callers can tell."""

    def __init__(self, name: str, state: State) -> None:
        self.name = name
        self.services = SERVICES[name](state)
        self._server = grpc.aio.server(interceptors=[Door(name, state.signer, _NEED_NO_CALLER)])
        self._server.add_generic_rpc_handlers(
            [_handler(descriptor, service, state) for descriptor, service in self.services.items()]
        )
        self.health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    async def start(self) -> None:
        await self._server.start()
        await self.set_ready(True)

    async def set_ready(self, ready: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for descriptor in self.services:
            await self.health.set(descriptor.full_name, status)

    async def kill(self) -> None:
        """Every call ends at once, and nobody listens any more."""
        await self._server.stop(None)


class Mesh:
    """Runs while its block does. `conversations` says how many replicas of conversation there are."""

    def __init__(self, conversations: int = 1) -> None:
        self.state = State()
        self._replicas = [Replica(name, self.state) for name in SERVICES if name != "conversation"]
        self.conversations = [Replica("conversation", self.state) for _ in range(conversations)]

    async def __aenter__(self) -> "Mesh":
        for replica in (*self._replicas, *self.conversations):
            await replica.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for replica in (*self._replicas, *self.conversations):
            await replica.kill()

    def replica(self, name: str) -> Replica:
        return next(replica for replica in (*self._replicas, *self.conversations) if replica.name == name)

    def fakes(self) -> list[FakeConversation]:
        """The insides of the conversation replicas."""
        found = [service for replica in self.conversations for service in replica.services.values()]
        return [service for service in found if isinstance(service, FakeConversation)]

    def addresses(self) -> dict[str, str]:
        """What the edge is told, by the names of its settings."""
        found = {f"{replica.name}_address": f"127.0.0.1:{replica.port}" for replica in self._replicas}
        ports = ",".join(f"127.0.0.1:{replica.port}" for replica in self.conversations)
        return {**found, "conversation_address": f"ipv4:{ports}"}


def _handler(descriptor: ServiceDescriptor, service: object, state: State) -> grpc.GenericRpcHandler:
    methods = {
        method.name: _method(method, getattr(service, method.name), state)
        for method in descriptor.methods
        if hasattr(service, method.name)
    }
    return grpc.method_handlers_generic_handler(descriptor.full_name, methods)


def _method(method: MethodDescriptor, answer: Callable[..., Any], state: State) -> "grpc.RpcMethodHandler[Any, Any]":
    read, write = GetMessageClass(method.input_type).FromString, GetMessageClass(method.output_type).SerializeToString
    if method.server_streaming:
        return grpc.stream_stream_rpc_method_handler(answer, read, write)

    async def noted(request: Message, _: object) -> Message:
        who = None if method.name in ("ExchangeToken", "ListSigningKeys") else caller()
        state.asked.append((method.name, request, who))
        if failure := state.failures.get(method.name):
            raise failure
        result: Message = await answer(request)
        if then := state.after.pop(method.name, None):
            then()
        return result

    return grpc.unary_unary_rpc_method_handler(noted, read, write)
