"""A client of server-sent events that does the least that a client can: it counts them."""

import asyncio
import time
from typing import cast

from benchmarks.streams.arrivals import Arrivals

_EVENT = b"data:"


class EventStream(asyncio.Protocol):
    def __init__(self, path: str, arrivals: Arrivals) -> None:
        self._path, self._arrivals = path, arrivals
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        request = f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        cast("asyncio.Transport", transport).write(request.encode())

    def data_received(self, data: bytes) -> None:
        """An event is written at once, so that none is cut into two."""
        self._arrivals.bytes += len(data)
        if count := data.count(_EVENT):
            now = time.time()
            self._arrivals.times.extend([now] * count)

    def connection_lost(self, error: Exception | None) -> None:
        if error:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)


async def read_events(host: str, port: int, path: str, arrivals: Arrivals) -> None:
    _, stream = await asyncio.get_running_loop().create_connection(lambda: EventStream(path, arrivals), host, port)
    await stream.ended
    arrivals.end = time.time()
