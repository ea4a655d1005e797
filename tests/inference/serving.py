"""Inference behind a real socket, and what its callers need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from parley.inference.v1.inference_service_pb2_grpc import InferenceServiceStub, add_InferenceServiceServicer_to_server
from services.chassis.channel import open_channel
from services.chassis.config import ServiceSettings
from services.chassis.door import Door
from services.chassis.server import Server
from services.inference.embedder import Embedder, FakeEmbedder
from services.inference.engine import Engine
from services.inference.service import InferenceService
from tests.identity import Signer
from tests.inference.generations import parameters
from tests.inference.running import running

if TYPE_CHECKING:
    from parley.inference.v1.inference_service_pb2_grpc import InferenceServiceAsyncStub

GENERATIONS_PER_STREAM = 6
TIMEOUT = 60.0
OWNER = pb.GenerationOwner(tenant_id="default", account_id="ann")
DEFAULTS = parameters(temperature=0, tokens=50)
_EMBEDDER = FakeEmbedder()


@dataclass(frozen=True, slots=True)
class Served:
    engine: Engine
    stub: InferenceServiceAsyncStub
    account: grpc.aio.Metadata
    """Of calls that the edge makes for Ann."""
    service: grpc.aio.Metadata
    """Of calls that conversation makes for itself."""
    drain: Callable[[], None]
    """Tells the server that it is about to end."""


@asynccontextmanager
async def served(engine: Engine, embedder: Embedder | None = _EMBEDDER) -> AsyncIterator[Served]:
    signer = Signer()
    service = InferenceService(engine, DEFAULTS, GENERATIONS_PER_STREAM, embedder)
    descriptor = pb.DESCRIPTOR.services_by_name["InferenceService"]
    server = Server(
        ServiceSettings(),
        Door("inference", signer),
        {descriptor: lambda server: add_InferenceServiceServicer_to_server(service, server)},
        checks={"engine": engine.check},
    )
    async with running(engine), server, open_channel(f"127.0.0.1:{server.port}") as channel:
        account = signer.metadata("inference", "ann")
        itself = signer.metadata("inference", service="conversation")
        yield Served(engine, InferenceServiceStub(channel), account, itself, service.drain)


def ask(text: str, generation_id: str = "g", *, model: str = "fake", **parts: object) -> pb.GenerateRequest:
    """A start for Ann; `parts` are fields of the request."""
    chat = pb.ChatPrompt(messages=[pb.ChatMessage(role=gen.ROLE_USER, text=text)])
    return pb.GenerateRequest(generation_id=generation_id, model=model, chat=chat, owner=OWNER, **parts)  # type: ignore[arg-type]
