"""Adding segments, beside the writes and never in their way.

Now and then a write looks how full its segment is. If it is, the next one starts above the greatest id there is.

Two writers may see different segments for as long as a write takes, and a row of the one that sees less goes into the
segment before its own, where readers look, too. They look no further, so the next segment is added only when no writer
is left that has not seen the one before: they were read, nobody has added another for longer than a write may take,
and a write that takes longer is not acknowledged. Each process measures that by its own clock.
"""

import asyncio
import random
from contextlib import suppress

from services.chassis.errors import DomainError
from services.history.cassandra.limits import Limits
from services.history.cassandra.segments import Segments, above
from services.history.cassandra.session import Session
from services.history.cassandra.statements import Statements

LOOKS = 16
"""How often a segment is looked at while it fills, on average."""
MAX_ROLLS = 64
"""Conversations looked at at once by a process; a look that is left out is made up for by a later one."""


class Roller:
    """Watches what is written by one store."""

    def __init__(self, session: Session, statements: Statements, limits: Limits) -> None:
        self._session = session
        self._statements = statements
        self._limits = limits
        self._rolling: dict[str, asyncio.Task[None]] = {}

    async def segments(self, conversation_id: str) -> Segments:
        """As of every segment that was added before."""
        rows = await self._session.read(self._statements.segments, (conversation_id,))
        starts, large = rows[0] if rows else (None, None)
        return Segments(tuple(starts or ()), large=bool(large))

    def wrote(self, conversation_id: str, segments: Segments, message_id: str, size: int) -> None:
        """After a write of `size` bytes that saw `segments`.

        Whether it looks is drawn, in proportion to what it wrote. Ids say nothing here: clients choose them.
        """
        if segments.place(message_id) != segments.last or conversation_id in self._rolling:
            return
        share = max(1 / self._limits.messages, size / self._limits.size)
        if len(self._rolling) < MAX_ROLLS and random.random() < share * LOOKS:  # noqa: S311
            task = asyncio.create_task(self._look(conversation_id, segments))
            self._rolling[conversation_id] = task
            task.add_done_callback(lambda _: self._rolling.pop(conversation_id))

    async def idle(self) -> None:
        """Waits until nothing is looked at."""
        while self._rolling:
            await asyncio.wait(self._rolling.values())

    async def close(self) -> None:
        for task in self._rolling.values():
            task.cancel()
        await self.idle()

    async def _look(self, conversation_id: str, segments: Segments) -> None:
        with suppress(DomainError):  # the store is away, and a later write looks again
            if not await self._is_full(conversation_id, segments):
                return
            if segments.starts:
                await asyncio.sleep(self._limits.grace_seconds)
            await self._roll(conversation_id, segments)

    async def _is_full(self, conversation_id: str, segments: Segments) -> bool:
        rows = await self._session.read(self._statements.fill, (conversation_id, segments.names[-1]))
        count, bodies, results = rows[0]
        return bool(count >= self._limits.messages or bodies + results >= self._limits.size)

    async def _roll(self, conversation_id: str, segments: Segments) -> None:
        """Adds a segment, unless another process did since `segments` were read."""
        ends = await self._session.read_each(
            self._statements.greatest, [(conversation_id, name) for name in segments.around(segments.last)]
        )
        start = above(max((rows[0][0] for rows in ends if rows), default=""))
        if start > segments.names[-1]:  # it is not, where the conversation was deleted meanwhile
            seen = list(segments.starts)
            await self._session.write(self._statements.add_segment, ([*seen, start], conversation_id, seen or None))
