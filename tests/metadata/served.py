"""Metadata behind a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from parley.metadata.v1 import metadata_service_pb2
from parley.metadata.v1.metadata_service_pb2_grpc import MetadataServiceStub, add_MetadataServiceServicer_to_server
from services.chassis.channel import open_channel
from services.chassis.config import ServiceSettings
from services.chassis.door import Door
from services.chassis.server import Server
from services.metadata.service import MetadataService
from services.metadata.store import Store
from tests.identity import Signer

if TYPE_CHECKING:
    from parley.metadata.v1.metadata_service_pb2_grpc import MetadataServiceAsyncStub


@asynccontextmanager
async def served(store: Store, signer: Signer, *, update_attempts: int = 50) -> AsyncIterator[MetadataServiceAsyncStub]:
    service = MetadataService(store, update_attempts)
    descriptor = metadata_service_pb2.DESCRIPTOR.services_by_name["MetadataService"]
    server = Server(
        ServiceSettings(),
        Door("metadata", signer),
        {descriptor: lambda server: add_MetadataServiceServicer_to_server(service, server)},
        checks={"store": store.check},
    )
    async with server, open_channel(f"127.0.0.1:{server.port}") as channel:
        yield MetadataServiceStub(channel)
