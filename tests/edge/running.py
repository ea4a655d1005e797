"""A running edge on a real port, and people who talk to it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from services.edge.app import open_house, public_app
from services.edge.config import Config
from services.edge.context import House
from services.edge.listener import Listener, bind
from tests.edge.mesh import Mesh
from tests.edge.state import SECRET, Person


@dataclass
class Edge:
    house: House
    public: Listener
    mesh: Mesh

    @property
    def port(self) -> int:
        return self.public.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Every connection of a client is lost, as if a cable were pulled."""
        for connection in list(self.public._server.server_state.connections):
            connection.transport.abort()

    def client(self, person: Person | None = None) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {person.api_key}"} if person else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=10)


@asynccontextmanager
async def running(mesh: Mesh, send_buffer: int = 0, **settings: object) -> AsyncIterator[Edge]:
    """An edge before a mesh; it differs from a deployment's by what a test sets.

    `send_buffer`: bytes that the system holds for a client that takes nothing, instead of megabytes.
    """
    config = Config.model_validate(
        {"service_secret": SECRET, "port": 0, "grace_seconds": 1, **mesh.addresses(), **settings}
    )
    async with open_house(config) as house:
        watching = asyncio.create_task(house.watches.run())
        door = bind("127.0.0.1", 0)
        if send_buffer:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        public = Listener(public_app(house), door, config)
        async with public:
            yield Edge(house, public, mesh)
            house.leaving.set()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
