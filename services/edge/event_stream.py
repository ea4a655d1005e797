"""GraphQL over server-sent events, in distinct connections mode: one operation, one response.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing

from starlette.types import Message, Receive, Scope, Send

from services.edge.errors import Refused, Wire
from services.edge.negotiation import EVENT_STREAM

HEADERS = [
    (b"content-type", f"{EVENT_STREAM}; charset=utf-8".encode()),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_COMPLETE = b"event: complete\ndata:\n\n"


def encode_next(answer: Wire) -> bytes:
    return b"event: next\ndata: %s\n\n" % encode_json(answer)


def encode_single(answer: Wire) -> bytes:
    """The whole stream of an operation that has one answer."""
    return encode_next(answer) + _COMPLETE


def encode_json(answer: Wire) -> bytes:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


class _Left(Exception):  # noqa: N818 - not a fault
    """The client went, or this process is about to."""


class EventStream:
    """The response of a subscription. It ends cleanly only where the subscription did; else its connection is cut."""

    def __init__(
        self,
        events: AsyncGenerator[Wire, None],
        seat: ExitStack,
        leaving: asyncio.Event,
        send_seconds: float,
    ) -> None:
        self._events, self._seat, self._leaving, self._send_seconds = events, seat, leaving, send_seconds

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._seat:
                async with asyncio.TaskGroup() as group:
                    watchers = [group.create_task(_until_gone(receive)), group.create_task(_until_set(self._leaving))]
                    await self._stream(send)
                    for watcher in watchers:
                        watcher.cancel()
        except* (_Left, TimeoutError):
            pass  # the server cuts the connection of a response that was not finished

    async def _stream(self, send: Send) -> None:
        # The comment carries the headers through proxies that wait for a first byte.
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": HEADERS})
        await self._send(send, {"type": "http.response.body", "body": b":\n\n", "more_body": True})
        async with aclosing(self._events) as events:
            try:
                async for answer in events:
                    await self._send(
                        send, {"type": "http.response.body", "body": encode_next(answer), "more_body": True}
                    )
            except Refused as error:
                last = encode_next({"errors": error.errors})
                await self._send(send, {"type": "http.response.body", "body": last, "more_body": True})
                return
        await self._send(send, {"type": "http.response.body", "body": _COMPLETE, "more_body": False})

    async def _send(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._send_seconds):
            await send(message)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise _Left


async def _until_set(leaving: asyncio.Event) -> None:
    await leaving.wait()
    raise _Left
