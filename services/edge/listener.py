"""A port, and what answers on it."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from services.edge.config import Config

AT_ONCE = "parley.send_at_once"
"""The extension of ASGI by which an open WebSocket's scope has a `SendAtOnce`, as "send"."""
SendAtOnce = Callable[[str], bool]
"""Sends a text message; False, and it does nothing, where that would have to wait."""
SPARED_PINGS = 2
"""In a row, where the other side is told something anyway: one that is gone shows by what it does not acknowledge, and
one that hangs by the ping that follows."""
_TEXT = b"\x81"
"""The first byte of a frame that is a whole text message (RFC 6455, section 5.2)."""


def bind(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket. With `reuse_port` other processes may share the port."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening


class _Server(uvicorn.Server):
    """Without uvicorn's signal handlers: the process has its own, and several servers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class _Socket(WebSocketsSansIOProtocol):
    """A WebSocket that is cut where uvicorn's waits for a client that takes nothing any more, and that is written to
    without a detour: of what a message costs, most is the way through ASGI and the protocol's states."""

    _told = False
    """Something was sent since the last ping was due."""
    _spared = 0
    """Pings in a row that were not sent."""

    async def run_asgi(self) -> None:
        self.scope["extensions"][AT_ONCE] = {"send": self.send_at_once}
        await super().run_asgi()

    def handle_ping(self) -> None:
        super().handle_ping()
        if not self.writable.is_set():
            self.transport.abort()  # it asks and asks, and takes no answer

    def send_keepalive_ping(self) -> None:
        if self._told and self._spared < SPARED_PINGS:
            self._told, self._spared = False, self._spared + 1
            self.ping_timer = None
            self.schedule_ping()
        else:
            self._told, self._spared = False, 0
            super().send_keepalive_ping()

    def send_at_once(self, text: str) -> bool:
        if not self.writable.is_set() or self.conn.state is not State.OPEN or self.transport.is_closing():
            return False
        payload = text.encode()
        size = len(payload)
        if size < 126:
            head = _TEXT + bytes((size,))
        else:
            head = _TEXT + (struct.pack("!BH", 126, size) if size < 1 << 16 else struct.pack("!BQ", 127, size))
        self.transport.write(head + payload)
        self._told = True
        return True

    def shutdown(self) -> None:
        if self.conn.state is State.CLOSING:
            self.transport.abort()
        else:
            super().shutdown()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()


class Listener:
    """Serves while its `async with` block runs. Leaving it closes the port and every WebSocket (1012: the service
    restarts), and waits for requests in flight."""

    def __init__(self, app: ASGIApp, listening: socket.socket, config: Config) -> None:
        # Else a client that takes nothing keeps its connection, and what waits for it, after it was cut off.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(config.send_seconds * 1000))
        self.port: int = listening.getsockname()[1]
        self._socket = listening
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=config.max_connections,
                timeout_graceful_shutdown=max(1, round(config.grace_seconds)),
                ws=_Socket,
                ws_max_size=config.max_body_bytes,
                # Compressing small messages takes more time and memory than it saves.
                ws_per_message_deflate=False,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Listener":
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        await self._server.listening.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._serving:
            await self._serving
