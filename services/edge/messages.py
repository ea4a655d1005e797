"""A WebSocket as JSON objects, and how it ends."""

import asyncio
from collections.abc import Mapping

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from services.edge.encoding import encode
from services.edge.errors import Refused
from services.edge.listener import AT_ONCE, SendAtOnce
from services.edge.request import read_json

GONE = (TimeoutError, WebSocketDisconnect, WebSocketDisconnected)
"""A client that takes nothing, one that has just gone, and one that was gone already when somebody else sent."""


class Closed(Exception):  # noqa: N818 - how every socket ends
    """The socket is over. With a code it is this side that ends it."""

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(code)
        self.code, self.reason = code, reason


class Messages:
    def __init__(self, socket: WebSocket, send_seconds: float, max_waiting: int) -> None:
        """`max_waiting`: characters of messages that wait for a client who takes none; with more he is cut off."""
        self._socket, self._send_seconds, self._max_waiting = socket, send_seconds, max_waiting
        self._waiting = 0
        extension = socket.scope.get("extensions", {}).get(AT_ONCE, {})
        self._send_at_once: SendAtOnce = extension.get("send", lambda _: False)

    async def receive(self) -> dict[str, object]:
        """The next one. Raises Closed."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise Closed
        try:
            value = read_json(message.get("text") or "")
        except Refused:
            value = None
        if not isinstance(value, dict):
            raise Closed(4400, "A message is a JSON object")
        return value

    async def send(self, message: Mapping[str, object]) -> None:
        """Returns when the socket took it. Raises Closed."""
        await self.send_text(encode(message))

    async def send_text(self, text: str) -> None:
        """A message that is JSON already."""
        if self._send_at_once(text):
            return
        if self._waiting and self._waiting + len(text) > self._max_waiting:
            raise Closed(1008, "The messages are not taken")
        self._waiting += len(text)
        try:
            async with asyncio.timeout(self._send_seconds):
                await self._socket.send_text(text)
        except GONE:
            raise Closed from None
        finally:
            self._waiting -= len(text)

    async def close(self, over: Closed) -> None:
        """Says goodbye, where there is somebody left to hear it."""
        if over.code is None:
            return
        try:
            async with asyncio.timeout(self._send_seconds):
                await self._socket.close(over.code, over.reason)
        except GONE:
            return  # the other side was faster
