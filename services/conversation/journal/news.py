"""What a server publishes about turns. News may be lost: readers also look by themselves now and then."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio.client import PubSub

from services.conversation.draft import News
from services.conversation.feed import Change
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
            yield _read(message["data"].decode())


def announcement(change: Change) -> str:
    """A change, as it is published; what scripts publish are the names of turns, with ! before those to be stopped."""
    return json.dumps([change.tenant_id, change.account_id, change.conversation_id, change.itself, *change.message_ids])


def _read(text: str) -> News:
    if text.startswith("["):
        tenant_id, account_id, conversation_id, itself, *message_ids = json.loads(text)
        return News(told=(Change(tenant_id, account_id, conversation_id, itself, tuple(message_ids)),))
    names = text.split()
    cancelled = frozenset(name[1:] for name in names if name.startswith("!"))
    return News(frozenset(name for name in names if not name.startswith("!")), cancelled)
