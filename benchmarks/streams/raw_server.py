"""What the same is without a mesh: `python -m benchmarks.streams.raw_server`, one token in each message.

The public yardstick's way: a handler for each stream sends a token, sleeps for the time of one, and sends the next.
Says its port on a line of its own.
"""

import asyncio
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

TOKENS_PER_SECOND = 100
TOKEN = " token"


async def tokens(count: int) -> AsyncIterator[str]:
    for _ in range(count):
        yield TOKEN
        await asyncio.sleep(1 / TOKENS_PER_SECOND)


async def events(request: Request) -> StreamingResponse:
    spoken = tokens(int(request.query_params["tokens"]))
    return StreamingResponse((f"data: {token}\n\n" async for token in spoken), media_type="text/event-stream")


async def messages(connection: WebSocket) -> None:
    await connection.accept()
    async for token in tokens(int(connection.query_params["tokens"])):
        await connection.send_text(token)
    await connection.close()


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listening.getsockname()[1], flush=True)
    app = Starlette(routes=[Route("/events", events), WebSocketRoute("/socket", messages)])
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listening])


if __name__ == "__main__":
    main()
