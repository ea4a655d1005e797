"""What a server publishes about turns. News may be lost: readers also look by themselves now and then."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio.client import PubSub

from services.conversation.draft import News
from services.conversation.journal.failures import as_unavailable, unavailable
from services.conversation.journal.server import SILENT_SECONDS, Server

PING_SECONDS = 1.0
"""A server that was silent for so long is asked for a sign."""


@asynccontextmanager
async def listening(server: Server, channels: Sequence[str]) -> AsyncIterator[AsyncIterator[News]]:
    """Entering it and each item raise UNAVAILABLE when the server is away."""
    async with AsyncExitStack() as opened:
        with as_unavailable():
            pubsub = await opened.enter_async_context(server.subscribed(channels))
        yield _news(pubsub)


async def _news(pubsub: PubSub) -> AsyncIterator[News]:
    heard = time.monotonic()
    while True:
        with as_unavailable():
            message = await pubsub.get_message(timeout=PING_SECONDS)
            if message:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_SECONDS:
                raise unavailable()
            else:
                await pubsub.ping()
        if message and message["type"] == "message":
            names = message["data"].decode().split()
            cancelled = frozenset(name[1:] for name in names if name.startswith("!"))
            yield News(frozenset(name for name in names if not name.startswith("!")), cancelled)
