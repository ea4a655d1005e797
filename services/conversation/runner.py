"""Runs turns: takes them from the queue, claims them, tells each one's story, and takes over those of the dead."""

import asyncio
import logging
from contextlib import suppress

from services.chassis.errors import AWAY, DomainError
from services.chassis.identity import acting_for
from services.chassis.telemetry import current_trace, log, start_trace
from services.conversation.config import Config
from services.conversation.draft import Claim, Turn
from services.conversation.journal import Journal
from services.conversation.turn import Story, TurnLostError
from services.conversation.writer import Writer

logger = logging.getLogger(__name__)

HAND_OVER_SECONDS = 1.0
AWAY_SECONDS = 0.5
"""Between attempts while the queue cannot be read."""
RETRY_SECONDS = (0.5, 5.0)
"""The first and the longest pause before a turn goes on after a service was away."""
MAX_RETRIES = 100
"""After so many, the turn goes back to whoever takes over what is left lying."""


class Runner:
    """`run` must be running."""

    def __init__(self, journal: Journal, writer: Writer, story: Story, config: Config) -> None:
        self._journal, self._writer, self._story, self._config = journal, writer, story, config
        self._here: set[str] = set()
        """Turns that this process has."""
        self._left, self._leaving = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Until cancelled, or asked to leave; then every turn has been handed over."""
        running = asyncio.create_task(self._run_all())
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait((running, leaving), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
        finally:
            leaving.cancel()
            running.cancel()
            await asyncio.gather(running, leaving, return_exceptions=True)

    def leave(self) -> None:
        """Has every turn handed over to other processes, and takes no more."""
        self._leaving.set()

    async def _run_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for shard in self._journal.shards:
                tasks.create_task(self._take(shard, tasks))
                tasks.create_task(self._take_over(shard, tasks))

    async def _take(self, shard: int, tasks: asyncio.TaskGroup) -> None:
        while True:
            room = await self._room()
            try:
                turns = await self._journal.take(shard, room)
            except DomainError:
                await asyncio.sleep(AWAY_SECONDS)
            else:
                self._start(turns, tasks)

    async def _take_over(self, shard: int, tasks: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(self._config.renew_seconds)
            if len(self._here) >= self._config.max_turns:
                continue  # a look would hide them from who has room
            try:
                self._start(await self._journal.take_over(shard), tasks)
            except DomainError:
                continue  # the journal is away; others say so

    async def _room(self) -> int:
        """How many more turns may run here; waits until one may."""
        while len(self._here) >= self._config.max_turns:
            self._left.clear()
            await self._left.wait()
        return self._config.max_turns - len(self._here)

    def _start(self, turns: list[Turn], tasks: asyncio.TaskGroup) -> None:
        """Starts those that are not here and have room; the others are found again, here or elsewhere."""
        for turn in turns:
            if turn.turn_id not in self._here and len(self._here) < self._config.max_turns:
                self._here.add(turn.turn_id)
                tasks.create_task(self._run(turn))

    async def _run(self, turn: Turn) -> None:
        current_trace.set(start_trace())
        try:
            claim = await self._journal.claim(turn)
            if claim:
                draft = claim.draft
                taken = "turn taken over" if claim.claims > 1 or draft.token_count else "turn taken"
                log(logger, logging.INFO, taken, reply_id=turn.reply_id, epoch=draft.epoch, tokens=draft.token_count)
                with acting_for(turn.owner):
                    async with self._writer.writing(claim.draft):
                        await self._while_ours(claim)
        except Exception as error:  # noqa: BLE001 - its lease lapses, and it is tried again; the others go on
            level = logging.WARNING if isinstance(error, DomainError) else logging.ERROR
            log(logger, level, "turn left", reply_id=turn.reply_id, why=type(error).__name__)
        finally:
            self._here.discard(turn.turn_id)
            self._left.set()

    async def _while_ours(self, claim: Claim) -> None:
        telling = asyncio.create_task(self._tell(claim))
        lost = asyncio.create_task(claim.draft.lost.wait())
        try:
            await asyncio.wait((telling, lost), return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                await telling
        finally:
            for task in (telling, lost):
                task.cancel()
            await asyncio.gather(telling, lost, return_exceptions=True)
            if not telling.done() or telling.cancelled():
                await self._hand_over(claim)

    async def _hand_over(self, claim: Claim) -> None:
        """This process stops: another need not wait for the lease to lapse."""
        with suppress(DomainError, TimeoutError):  # a journal that is away or hangs: the lease lapses
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await self._journal.append(self._journal.shard(claim.draft.turn.conversation_id), [claim.draft])
                await self._journal.release(claim.draft)

    async def _tell(self, claim: Claim) -> None:
        pause = RETRY_SECONDS[0]
        for _ in range(MAX_RETRIES):
            try:
                await self._story.tell(claim)
            except TurnLostError:
                return
            except DomainError as error:
                if error.reason not in AWAY:
                    await self._story.give_up(claim.draft, error.reason)
                    return
                log(logger, logging.WARNING, "turn waits", reply_id=claim.draft.turn.reply_id, reason=error.reason)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS[1])
            else:
                return
        await self._journal.release(claim.draft)  # so that this counts as no claim that brought nothing
