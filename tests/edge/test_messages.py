"""What a socket says to those who write on it when nobody reads any more."""

import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from services.edge.messages import Closed, Messages


async def test_everybody_who_sends_on_a_broken_socket_learns_that_it_is_over() -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        if message["type"] != "websocket.accept":
            raise OSError("gone")

    socket = WebSocket({"type": "websocket", "headers": []}, receive, send)
    await socket.accept()
    messages = Messages(socket, send_seconds=10)
    for _ in range(3):
        with pytest.raises(Closed):
            await messages.send({"type": "next"})
    await messages.close(Closed(4400, "late"))
