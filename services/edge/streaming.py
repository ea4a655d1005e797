"""A response of unknown length. It ends cleanly only where its body did; else its connection is cut, and shows it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

Write = Callable[[bytes], Awaitable[None]]
"""Returns when there is room for more."""


class Cut(Exception):  # noqa: N818 - not a fault of this process
    """The response shall not end cleanly: its body broke, its client went, or this process is about to."""


@dataclass(frozen=True, slots=True)
class StreamingResponse:
    """Writes the body while the client takes it. It is cancelled when the client goes or `leaving` is set."""

    headers: Mapping[str, str]
    body: Callable[[Write], Awaitable[None]]
    """Raises Cut."""
    seat: ExitStack
    """Closed in the end."""
    leaving: asyncio.Event
    send_seconds: float
    """For the client to take a piece."""

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        async def write(piece: bytes, more: bool = True) -> None:
            try:
                async with asyncio.timeout(self.send_seconds):
                    await send({"type": "http.response.body", "body": piece, "more_body": more})
            except TimeoutError:
                raise Cut from None

        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        try:
            with self.seat:
                async with asyncio.TaskGroup() as group:
                    watchers = [group.create_task(_until_gone(receive)), group.create_task(_until_set(self.leaving))]
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await self.body(write)
                    await write(b"", more=False)
                    for watcher in watchers:
                        watcher.cancel()
        except* Cut:
            pass  # the server cuts the connection of a response that was not finished


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise Cut


async def _until_set(leaving: asyncio.Event) -> None:
    await leaving.wait()
    raise Cut
