"""Runs turns: takes them from the queue, claims them, tells each one's story, and takes over those of the dead."""

import asyncio
import logging
import secrets

from services.chassis.errors import DomainError
from services.chassis.identity import acting_for
from services.chassis.telemetry import current_trace, log, start_trace
from services.conversation.config import Config
from services.conversation.draft import Turn
from services.conversation.journal import Claim, Journal
from services.conversation.turn import Story, TurnLostError
from services.conversation.writer import Writer

logger = logging.getLogger(__name__)

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
        self._name = secrets.token_hex(8)
        self._here: set[str] = set()
        """Replies that this process writes."""
        self._left = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for shard in self._journal.shards:
                tasks.create_task(self._take(shard, tasks))
                tasks.create_task(self._take_over(shard, tasks))

    async def _take(self, shard: int, tasks: asyncio.TaskGroup) -> None:
        while True:
            room = await self._room()
            try:
                turns = await self._journal.take(shard, self._name, room)
            except DomainError:
                await asyncio.sleep(AWAY_SECONDS)
            else:
                self._start(turns, tasks)

    async def _take_over(self, shard: int, tasks: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(self._config.renew_seconds)
            room = await self._room()
            try:
                self._start(await self._journal.take_over(shard, self._name, room), tasks)
            except DomainError:
                continue  # _take waits and says so

    async def _room(self) -> int:
        """How many more turns may run here; waits until one may."""
        while len(self._here) >= self._config.max_turns:
            self._left.clear()
            await self._left.wait()
        return self._config.max_turns - len(self._here)

    def _start(self, turns: list[Turn], tasks: asyncio.TaskGroup) -> None:
        for turn in turns:
            if turn.reply_id not in self._here:
                self._here.add(turn.reply_id)
                tasks.create_task(self._run(turn))

    async def _run(self, turn: Turn) -> None:
        current_trace.set(start_trace())
        try:
            claim = await self._journal.claim(turn)
            if claim:
                with acting_for(turn.owner):
                    async with self._writer.writing(claim.draft):
                        await self._while_ours(claim)
        except Exception as error:  # noqa: BLE001 - its lease lapses, and it is tried again; the others go on
            log(logger, logging.ERROR, "turn left", reply_id=turn.reply_id, why=type(error).__name__)
        finally:
            self._here.discard(turn.reply_id)
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

    async def _tell(self, claim: Claim) -> None:
        pause = RETRY_SECONDS[0]
        for _ in range(MAX_RETRIES):
            try:
                await self._story.tell(claim)
            except TurnLostError:
                return
            except DomainError as error:
                log(logger, logging.WARNING, "turn waits", reply_id=claim.draft.turn.reply_id, reason=error.reason)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS[1])
            else:
                return
