"""A driver with the fault of March 2023: a connection whose caller was cancelled is used again, its answer unread."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

from tests.cancellation.shelf import Backend, Shelf

CONNECTIONS = 6
BYTES = 2**20
"""Of an answer."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LeakyShelf:
    """Its callers take turns with its connections, which must not be cut."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._turns = asyncio.Semaphore(len(connections))
        self._free = list(connections)

    async def check(self) -> None: ...

    async def put(self, owner: str, key: str, value: str) -> None:
        await self._ask(owner=owner, key=key, value=value)

    async def get(self, owner: str, key: str) -> str | None:
        return next(iter((await self._ask(owner=owner, key=key)).values()), None)

    async def some(self, owner: str) -> Mapping[str, str]:
        return await self._ask(owner=owner)

    async def _ask(self, **request: str) -> dict[str, str]:
        async with self._turns:
            reader, writer = connection = self._free.pop()
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                return cast("dict[str, str]", json.loads(await reader.readline()))
            finally:
                self._free.append(connection)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rows: dict[str, dict[str, str]]) -> None:
    with suppress(OSError):
        while line := await reader.readline():
            request = json.loads(line)
            mine = rows.setdefault(request["owner"], {})
            if "value" in request:
                mine[request["key"]] = request["value"]
            wanted = [request["key"]] if "key" in request else list(mine)[:3]
            writer.write(json.dumps({key: mine[key] for key in wanted if key in mine}).encode() + b"\n")
            await writer.drain()
    writer.close()


@asynccontextmanager
async def leaky_store(_: Path) -> AsyncIterator[Backend]:
    rows: dict[str, dict[str, str]] = {}

    @asynccontextmanager
    async def opened(port: int) -> AsyncIterator[Shelf]:
        connections = [await asyncio.open_connection("127.0.0.1", port, limit=BYTES) for _ in range(CONNECTIONS)]
        yield LeakyShelf(connections)
        for _, writer in connections:
            writer.transport.abort()

    server = await asyncio.start_server(
        lambda reader, writer: _answer(reader, writer, rows), "127.0.0.1", 0, limit=BYTES
    )
    async with server:
        yield Backend(opened, [server.sockets[0].getsockname()[:2]], connections=CONNECTIONS)
