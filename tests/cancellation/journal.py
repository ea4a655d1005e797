"""Replies on a shelf, and the journal that keeps them: an account's conversation, with a turn for each value."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from services.chassis.errors import DomainError, Reason
from services.conversation.config import Config
from services.conversation.draft import Outcome, Turn
from services.conversation.journal import Journal, open_journal
from tests.cancellation.shelf import Shelf

WAIT_SECONDS = 0.01
"""For turns and news: both are waited for while connections are few."""


class JournalShelf:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def check(self) -> None:
        await self._journal.check()

    async def put(self, owner: str, key: str, value: str) -> None:
        turn = _turn(owner, key)
        await self._journal.enqueue(turn)
        claim = await self._journal.claim(turn)
        if claim is None:
            # A driver may ask again after a cut: then its first attempt has the lease, until that lapses.
            raise DomainError(Reason.UNAVAILABLE, "The reply has another runner.")
        claim.draft.add([1], value)
        assert await self._journal.append(self._journal.shard(owner), [claim.draft]) == [Outcome.OK]

    async def get(self, owner: str, key: str) -> str | None:
        [reading] = await self._journal.read([(_turn(owner, key), 0)])
        return reading.text.decode() if reading.known else None

    async def some(self, owner: str) -> Mapping[str, str]:
        """Also waits for turns and news, as runners and watchers do all the time, and is stopped in the middle."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                await self._journal.take(self._journal.shard(owner), 1)
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS), self._journal.listen() as news:
                await anext(news)
        running = await self._journal.running(owner)
        readings = await self._journal.read([(_turn(owner, key), 0) for key in running])
        # A put that was cancelled may have queued its turn, and written nothing.
        found = zip(running, readings, strict=True)
        return {key: reading.text.decode() for key, reading in found if reading.text}


def connections(shards: int) -> int:
    """The fewest, to each server, that a journal works with."""
    return 2 * shards + 4


def _turn(owner: str, key: str) -> Turn:
    return Turn(key, owner, "default", owner)


@asynccontextmanager
async def open_replies(url: str, prefix: str, *, shards: int = 1) -> AsyncIterator[Shelf]:
    """With several shards, of a cluster."""
    config = Config.model_validate(
        {
            **dict.fromkeys(("auth_address", "history_address", "metadata_address"), "127.0.0.1:1"),
            "inference_addresses": ("127.0.0.1:1",),
            "service_secret": "s" * 32,
            "redis_url": url,
            "redis_prefix": prefix,
            "redis_connections": connections(shards),
            "redis_cluster": shards > 1,
            "shards": shards,
        }
    )
    async with open_journal(config) as journal:
        yield JournalShelf(journal)
