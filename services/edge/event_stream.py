"""GraphQL over server-sent events, in distinct connections mode: one operation, one response.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing

from services.edge.encoding import encode
from services.edge.errors import Refused, Wire
from services.edge.negotiation import EVENT_STREAM
from services.edge.streaming import Cut, StreamingResponse, Write

HEADERS = {
    "content-type": f"{EVENT_STREAM}; charset=utf-8",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
}
_COMPLETE = b"event: complete\ndata:\n\n"


def encode_next(answer: str) -> bytes:
    """`answer`: as JSON."""
    return f"event: next\ndata: {answer}\n\n".encode()


def encode_single(answer: Wire) -> bytes:
    """The whole stream of an operation that has one answer."""
    return encode_next(encode(answer)) + _COMPLETE


def encode_json(answer: Wire) -> bytes:
    return encode(answer).encode()


def event_stream(
    events: AsyncGenerator[str, None], seat: ExitStack, leaving: asyncio.Event, send_seconds: float
) -> StreamingResponse:
    """The response of a subscription."""

    async def body(write: Write) -> None:
        # The comment carries the headers through proxies that wait for a first byte.
        await write(b":\n\n")
        async with aclosing(events):
            try:
                async for answer in events:
                    await write(encode_next(answer))
            except Refused as error:
                await write(encode_next(encode({"errors": error.errors})))
                raise Cut from None
        await write(_COMPLETE)

    return StreamingResponse(HEADERS, body, seat, leaving, send_seconds)
