"""A WebSocket client that does the least that a client can: it shares the processor with what it measures."""

import asyncio
import struct
import time
from collections.abc import Callable
from typing import cast

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_WHOLE = 0x80

Take = Callable[[bytes, float], None]
"""Is given each text message and when it arrived, as a Unix time."""


class WebSocket(asyncio.Protocol):
    def __init__(self, path: str, subprotocol: str = "") -> None:
        self._path, self._subprotocol = path, subprotocol
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.take: Take = lambda _message, _now: None
        self.received_bytes = 0
        """Of TCP's content, the handshake included."""
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        offered = f"Sec-WebSocket-Protocol: {self._subprotocol}\r\n" if self._subprotocol else ""
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{offered}\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.opened, self.closed):
            if not future.done():
                future.set_exception(error or ConnectionError("The server closed the connection."))
                future.exception()  # read by whoever waits, if anybody does

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self._rest:
            data = self._rest + data
        if not self.opened.done():
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(head.partition(b"\r\n")[0].decode())
            self.opened.set_result(None)
        self._rest = data[self._read(data, time.time()) :]

    def _read(self, data: bytes, now: float) -> int:
        """Takes the whole frames, and returns where the first that is not whole begins."""
        at, end = 0, len(data)
        while end - at >= 2:
            start, size = at + 2, data[at + 1]
            if size == 126:
                start, size = at + 4, int.from_bytes(data[at + 2 : at + 4])
            elif size == 127:
                start, size = at + 10, int.from_bytes(data[at + 2 : at + 10])
            if start + size > end:
                return at
            self._take_frame(data[at] & 0x0F, data[start : start + size], now)
            at = start + size
        return at

    def _take_frame(self, kind: int, payload: bytes, now: float) -> None:
        if kind == TEXT:
            self.take(payload, now)
        elif kind == PING:
            self._send(PONG, payload)
        elif kind == CLOSE and not self.closed.done():
            self.closed.set_result(None)

    def send(self, message: str) -> None:
        self._send(TEXT, message.encode())

    def _send(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([_WHOLE | size]) if size < 126 else struct.pack("!BH", _WHOLE | 126, size)
        # A mask of zeros leaves the content as it is.
        self._transport.write(bytes([_WHOLE | kind]) + length + bytes(4) + payload)

    def close(self) -> None:
        self._transport.close()


async def open_web_socket(host: str, port: int, path: str, subprotocol: str = "") -> WebSocket:
    _, socket = await asyncio.get_running_loop().create_connection(lambda: WebSocket(path, subprotocol), host, port)
    await socket.opened
    return socket
