"""When subscribers look for news: one timer for all of them, and one more for those who heard nothing for long."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.tick import pause_after

GRAINS = 60
"""Heartbeats that are due within so small a part of their time are given together."""


class Look:
    """One subscriber's next look."""

    def __init__(self) -> None:
        self._now = asyncio.Event()
        self._silence = False

    async def next(self) -> bool:
        """Returns when it is time to look; whether it is because nothing was told for as long as may be."""
        await self._now.wait()
        self._now.clear()  # before looking: what comes later sets it again
        silence, self._silence = self._silence, False
        return silence

    def begin(self, silence: bool = False) -> None:
        self._silence = self._silence or silence
        self._now.set()


class Rounds:
    """`run` must be running."""

    def __init__(self, tick_seconds: float, heartbeat_seconds: float) -> None:
        self._tick, self._heartbeat = tick_seconds, heartbeat_seconds
        self._waiting: dict[Look, None] = {}
        self._news = asyncio.Event()
        self._told: dict[Look, float] = {}
        """When each was last told something: longest ago comes first."""

    @contextmanager
    def joined(self) -> Iterator[Look]:
        look = Look()
        self.told(look)
        try:
            yield look
        finally:
            self._told.pop(look, None)
            self._waiting.pop(look, None)

    def told(self, look: Look) -> None:
        """Something was told: silence is counted from now on."""
        self._told.pop(look, None)
        self._told[look] = time.monotonic()

    def wake(self, look: Look) -> None:
        """There is news. It is looked at in the next round: at once, if the last is a tick ago."""
        self._waiting[look] = None
        self._news.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._go_round())
            tasks.create_task(self._break_silence())

    async def _go_round(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            began = time.monotonic()
            waiting, self._waiting = self._waiting, {}
            for look in waiting:
                look.begin()
            await asyncio.sleep(0)  # those who look now do it before this goes on
            await asyncio.sleep(pause_after(began, self._tick))

    async def _break_silence(self) -> None:
        grain = self._heartbeat / GRAINS
        while True:
            await asyncio.sleep(grain)
            due = time.monotonic() + grain - self._heartbeat
            while (look := next(iter(self._told), None)) and self._told[look] <= due:
                self.told(look)
                look.begin(silence=True)
