"""What a socket says to those who write on it when nobody reads any more."""

import asyncio

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
    messages = Messages(socket, send_seconds=10, max_waiting=100)
    for _ in range(3):
        with pytest.raises(Closed):
            await messages.send({"type": "next"})
    await messages.close(Closed(4400, "late"))


async def test_a_client_who_takes_nothing_is_cut_off_before_it_takes_the_memory() -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        if message["type"] != "websocket.accept":
            await asyncio.Event().wait()

    socket = WebSocket({"type": "websocket", "headers": []}, receive, send)
    await socket.accept()
    messages = Messages(socket, send_seconds=10, max_waiting=100)
    first = asyncio.create_task(messages.send_text("x" * 1000))  # one may be larger than the bound
    await asyncio.sleep(0)
    with pytest.raises(Closed) as closed:
        await messages.send_text("y")
    assert closed.value.code == 1008
    first.cancel()
