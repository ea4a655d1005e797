"""Inference replicas on real sockets that do as each test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
from google.protobuf.duration_pb2 import Duration

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from parley.inference.v1.inference_service_pb2_grpc import (
    InferenceServiceServicer,
    add_InferenceServiceServicer_to_server,
)
from services.chassis.errors import DomainError, to_status
from services.chassis.tokens import Tokens
from services.conversation.routing import Fleet, Router
from services.conversation.routing.endpoints import Tell
from services.conversation.routing.replica import Replica

STEP_SECONDS = 0.01


class FakeReplica(InferenceServiceServicer):
    """Holds each generation until it is let go, and then ends it."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.load: pb.GetLoadResponse | None = None
        self.refusal: DomainError | None = None
        self.go_on = asyncio.Event()
        self.address = ""

    async def GenerateMany(  # noqa: N802 - so gRPC names it
        self, requests: AsyncIterator[pb.GenerateManyRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.GenerateManyResponse]:
        del context
        running: list[str] = []
        refused: list[str] = []
        reading = asyncio.create_task(self._read(requests, running, refused))
        try:
            while not reading.done():
                response = pb.GenerateManyResponse(load=self.load)
                for generation_id in refused:
                    assert self.refusal
                    response.events.add(generation_id=generation_id, failure=to_status(self.refusal))
                refused.clear()
                if self.go_on.is_set():
                    end = pb.GenerationEnd(finish_reason=gen.FINISH_REASON_STOP)
                    response.events.extend(pb.GenerationEvent(generation_id=each, end=end) for each in running)
                    running.clear()
                yield response
                await asyncio.sleep(STEP_SECONDS)
        finally:
            reading.cancel()

    async def ListModels(  # noqa: N802
        self, request: pb.ListModelsRequest, context: object
    ) -> pb.ListModelsResponse:
        del request, context
        return pb.ListModelsResponse(models=[pb.Model(model_id="m", ready=True)])

    async def _read(
        self, requests: AsyncIterator[pb.GenerateManyRequest], running: list[str], refused: list[str]
    ) -> None:
        async for request in requests:
            if request.HasField("cancel"):
                self.cancelled.append(request.cancel.generation_id)
                continue
            self.started.append(request.start.generation_id)
            (refused if self.refusal else running).append(request.start.generation_id)


def a_replica() -> FakeReplica:
    return FakeReplica()  # type: ignore[abstract]  # the router calls no more than it has


class Named:
    """Endpoints that a test names."""

    def __init__(self) -> None:
        self.tell: Tell | None = None

    async def follow(self, tell: Tell) -> None:
        self.tell = tell
        await asyncio.Event().wait()


class Anybody:
    """Tokens, for replicas that believe everybody."""

    async def token(self, audience: str, who: object) -> str:
        del audience, who
        return "token"


class Mesh:
    """A router and the replicas that it may find."""

    def __init__(self, replicas: list[FakeReplica], named: Named, fleet: Fleet) -> None:
        self.replicas, self.fleet, self.router = replicas, fleet, Router(fleet)
        self._named = named

    async def name(self, *replicas: FakeReplica) -> None:
        """Has the endpoints be these, and waits until they are connected."""
        addresses = frozenset(replica.address for replica in replicas)
        await until(lambda: self._named.tell)
        assert self._named.tell
        self._named.tell(addresses)
        await until(lambda: {each.address for each in self.fleet.replicas if each.connected} == addresses)

    def open(self) -> set[str]:
        """All that are connected, named or not."""
        return set(self.fleet._open)

    def at(self, address: str) -> FakeReplica:
        return next(replica for replica in self.replicas if replica.address == address)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(STEP_SECONDS)


@asynccontextmanager
async def served(replica: FakeReplica) -> AsyncIterator[grpc.aio.Server]:
    server = grpc.aio.server()
    add_InferenceServiceServicer_to_server(replica, server)
    replica.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield server
    finally:
        replica.go_on.set()
        await server.stop(0)


@asynccontextmanager
async def routed(replicas: list[FakeReplica], leaving_seconds: float = 60) -> AsyncIterator[Mesh]:
    """A router whose endpoints are the replicas, which are served."""
    named = Named()
    fleet = Fleet([named], lambda address: Replica(address, cast("Tokens", Anybody())), leaving_seconds)
    running = asyncio.create_task(fleet.run())
    try:
        mesh = Mesh(replicas, named, fleet)
        await mesh.name(*replicas)
        yield mesh
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def a_request(generation_id: str, *said: str, account: str = "ann") -> pb.GenerateRequest:
    roles = (gen.ROLE_USER, gen.ROLE_ASSISTANT)
    messages = [pb.ChatMessage(role=roles[place % 2], text=text) for place, text in enumerate(said or ("hello",))]
    return pb.GenerateRequest(
        generation_id=generation_id,
        model="m",
        chat=pb.ChatPrompt(messages=messages),
        parameters=gen.GenerationParameters(max_output_tokens=100),
        owner=pb.GenerationOwner(tenant_id="default", account_id=account),
    )


def a_load(**fields: Any) -> pb.GetLoadResponse:
    wait = Duration()
    wait.FromMilliseconds(int(1000 * fields.pop("expected_wait", 0)))
    return pb.GetLoadResponse(expected_wait=wait, **fields)
