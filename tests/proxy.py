"""A TCP proxy that a test puts before a server: slow, silent, cut, or away."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 65_536


class Proxy:
    """Forwards what connects to it. Faults can be switched on and off while connections are open."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.port = _free_port()
        self.connections = 0
        """How many are open now."""
        self.delay = 0.0
        """Seconds that every piece waits, each way."""
        self.piece = CHUNK
        """The most bytes that go on as one piece."""
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._up.set()
        self._down.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Accepts connections (again)."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Cuts every connection and refuses new ones, as a server that is down."""
        if self._server:
            self._server.close()
            self._server = None
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """Cuts every connection; new ones are accepted."""
        for task in self._tasks:
            task.cancel()

    def hold(self, *, requests: bool = True, answers: bool = True) -> None:
        """Lets nothing through, one way or both, and keeps connections open: a server that hangs."""
        if requests:
            self._up.clear()
        if answers:
            self._down.clear()

    def let_go(self) -> None:
        """What was held goes on its way."""
        self._up.set()
        self._down.set()

    async def emptied(self) -> None:
        """Returns when nobody is connected."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # one side broke, or the test cut it
        finally:
            self.connections -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._forward(reader, server_writer, self._up))
                ways.create_task(self._forward(server_reader, writer, self._down))
        except* OSError:
            pass
        finally:
            server_writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: asyncio.Event) -> None:
        while piece := await reader.read(self.piece):
            if self.delay:
                await asyncio.sleep(self.delay)
            await way.wait()
            writer.write(piece)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def proxy(host: str, port: int) -> AsyncIterator[Proxy]:
    """A proxy before a server, open."""
    between = Proxy(host, port)
    await between.open()
    try:
        yield between
    finally:
        between.let_go()
        await between.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
