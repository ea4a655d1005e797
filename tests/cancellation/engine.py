"""Replies behind one stream of gRPC that carries everybody's, as between conversation and an inference replica.

An engine remembers nothing: a value is put by having it said, and got by having it said again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from parley.inference.v1.inference_service_pb2_grpc import add_InferenceServiceServicer_to_server
from services.chassis.config import ServiceSettings
from services.chassis.door import Door
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.chassis.server import Server
from services.chassis.tokens import Tokens
from services.conversation.routing import ReplicaLostError
from services.conversation.routing.replica import Replica
from services.inference.fake import FakeEngine
from services.inference.service import InferenceService
from tests.cancellation.peer import Stamps
from tests.cancellation.shelf import Backend, Shelf
from tests.identity import Signer
from tests.inference.generations import parameters
from tests.inference.running import running

SAID = 150
"""Characters of a value that are said; the others belong to nobody."""
SOME = 3
GENERATIONS = 256
MODEL = "fake"


class EngineShelf:
    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._values: dict[str, dict[str, str]] = {}

    async def check(self) -> None:
        if not self._replica.connected:
            raise _away()

    async def put(self, owner: str, key: str, value: str) -> None:
        assert await self._say(owner, value) == value
        self._values.setdefault(owner, {})[key] = value

    async def get(self, owner: str, key: str) -> str | None:
        return await self._say(owner, self._values[owner][key])

    async def some(self, owner: str) -> Mapping[str, str]:
        keys = list(self._values.get(owner, {}))[-SOME:]
        said = await asyncio.gather(*(self.get(owner, key) for key in keys))
        return {key: value for key, value in zip(keys, said, strict=True) if value is not None}

    async def _say(self, owner: str, value: str) -> str:
        request = pb.GenerateRequest(
            generation_id=new_id(),
            model=MODEL,
            chat=pb.ChatPrompt(messages=[pb.ChatMessage(role=gen.ROLE_USER, text=f"say: {value[:SAID]}")]),
            owner=pb.GenerationOwner(tenant_id="default", account_id=owner),
        )
        said = ""
        try:
            async with self._replica.generate(request) as generation:
                async for event in generation.events():
                    said += event.delta.text
        except ReplicaLostError:
            raise _away() from None
        return said + value[SAID:]


def _away() -> DomainError:
    return DomainError(Reason.UNAVAILABLE, "The engine is away.")


@asynccontextmanager
async def engine_behind_grpc(_: Path) -> AsyncIterator[Backend]:
    signer = Signer()
    descriptor = pb.DESCRIPTOR.services_by_name["InferenceService"]

    @asynccontextmanager
    async def opened(port: int) -> AsyncIterator[Shelf]:
        async with Replica(f"127.0.0.1:{port}", cast("Tokens", Stamps(signer, "conversation"))) as replica:
            yield EngineShelf(replica)

    async with running(FakeEngine()) as engine:
        service = InferenceService(engine, parameters(tokens=2 * SAID), GENERATIONS)
        server = Server(
            ServiceSettings(),
            Door("inference", signer),
            {descriptor: lambda server: add_InferenceServiceServicer_to_server(service, server)},
        )
        async with server:
            yield Backend(opened, [("127.0.0.1", server.port)], connections=1)
