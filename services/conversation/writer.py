"""Writes drafts into the journal in ticks: one call for all drafts of a shard, at once if the last is a tick ago."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.chassis.errors import DomainError
from services.chassis.telemetry import log
from services.chassis.tick import pause_after
from services.conversation.config import Config
from services.conversation.draft import Draft, Outcome
from services.conversation.journal import Journal

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.2
"""Between attempts while the journal is away. Drafts hold what they have; the reply's length bounds it."""


class Writer:
    """Owns the drafts of one process. `run` must be running."""

    def __init__(self, journal: Journal, config: Config) -> None:
        self._journal, self._config = journal, config
        self._drafts: list[dict[Draft, None]] = [{} for _ in journal.shards]
        self._dirty = [asyncio.Event() for _ in journal.shards]
        self._flushed = asyncio.Condition()

    @asynccontextmanager
    async def writing(self, draft: Draft) -> AsyncIterator[None]:
        """Renews the draft's lease while the block runs."""
        drafts = self._drafts[self._shard(draft)]
        drafts[draft] = None
        try:
            yield
        finally:
            del drafts[draft]

    def changed(self, draft: Draft) -> None:
        """Has what is new in the draft written with the next tick."""
        self._dirty[self._shard(draft)].set()

    async def flush(self, draft: Draft) -> None:
        """Returns once the journal took all of the draft, or the turn is lost; it asks also if nothing is new."""
        draft.confirmed = False
        self.changed(draft)
        async with self._flushed:
            await self._flushed.wait_for(lambda: draft.lost.is_set() or draft.is_written)

    def cancel(self, turn_ids: frozenset[str]) -> None:
        """Tells the drafts of these turns that somebody wants them to stop."""
        for drafts in self._drafts if turn_ids else ():
            for draft in drafts:
                if draft.turn.turn_id in turn_ids:
                    draft.cancelled.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for shard in self._journal.shards:
                tasks.create_task(self._write(shard))

    async def _write(self, shard: int) -> None:
        dirty, drafts = self._dirty[shard], self._drafts[shard]
        renewed = 0.0
        while True:
            try:
                async with asyncio.timeout(self._config.renew_seconds):
                    await dirty.wait()
            except TimeoutError:
                pass  # leases are due
            dirty.clear()  # before reading: what comes later sets it again
            started = time.monotonic()
            due = started - renewed >= self._config.renew_seconds
            batch = [draft for draft in drafts if not draft.lost.is_set() and (due or not draft.is_written)]
            try:
                brought = any(not draft.is_written for draft in batch)
                if batch:
                    await self._append(shard, batch)
                renewed = started if due else renewed
                if brought:
                    await asyncio.sleep(pause_after(started, self._config.tick_seconds))
            except DomainError:
                dirty.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _append(self, shard: int, batch: list[Draft]) -> None:
        for draft, outcome in zip(batch, await self._journal.append(shard, batch), strict=True):
            match outcome:
                case Outcome.STALE:
                    log(logger, logging.WARNING, "turn lost to another runner", reply_id=draft.turn.reply_id)
                    draft.lost.set()
                case Outcome.CANCEL:
                    draft.cancelled.set()
                case Outcome.MISSING | Outcome.GAP:
                    log(logger, logging.WARNING, "journal restored", reply_id=draft.turn.reply_id, was=outcome)
                    await self._journal.restore(draft)
                    self.changed(draft)
        async with self._flushed:
            self._flushed.notify_all()

    def _shard(self, draft: Draft) -> int:
        return self._journal.shard(draft.turn.conversation_id)
