"""A server on the chassis whose behaviour each test chooses; it borrows history's contract for its methods."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from parley.history.v1 import history_service_pb2 as pb
from parley.history.v1.history_service_pb2_grpc import HistoryServiceServicer, add_HistoryServiceServicer_to_server
from services.chassis.config import ServiceSettings
from services.chassis.door import Door
from services.chassis.server import Check, Server
from tests.identity import Signer

Behaviour = Callable[[pb.GetMessageRequest], Awaitable[pb.GetMessageResponse]]
GET = "/parley.history.v1.HistoryService/GetMessage"


class Echo(HistoryServiceServicer):
    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    async def GetMessage(self, request: pb.GetMessageRequest, context: Any) -> pb.GetMessageResponse:  # noqa: ARG002, N802
        return await self._behaviour(request)


async def echo(request: pb.GetMessageRequest) -> pb.GetMessageResponse:
    return pb.GetMessageResponse(message=pb.Message(message_id=request.message_id))


@asynccontextmanager
async def served(
    signer: Signer,
    behaviour: Behaviour = echo,
    *,
    open_methods: frozenset[str] = frozenset(),
    checks: dict[str, Check] | None = None,
    lives: dict[str, Check] | None = None,
    **settings: Any,
) -> AsyncIterator[Server]:
    servicer = Echo(behaviour)  # type: ignore[abstract]  # its other methods answer UNIMPLEMENTED
    descriptor = pb.DESCRIPTOR.services_by_name["HistoryService"]
    server = Server(
        ServiceSettings(**settings),
        Door("history", signer, open_methods),
        {descriptor: lambda server: add_HistoryServiceServicer_to_server(servicer, server)},
        checks,
        lives,
    )
    async with server:
        yield server


@asynccontextmanager
async def channel_to(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel
