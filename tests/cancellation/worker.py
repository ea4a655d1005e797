"""Somebody whose calls are cancelled, and who never may be given what is another's."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from random import Random
from typing import Any

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.chassis.server import CHECK_SECONDS
from tests.cancellation.shelf import Shelf

SIZES = (0, 300, 3_000, 12_000)
"""Bytes that a value is filled up with: some are read in one piece, some in many."""
MAX_TURNS = 40
"""Of the event loop, before a call is cancelled."""
SECONDS = (-4.5, -1.3)
"""Before a call is cancelled or runs out of time, as powers of ten: from the first bytes to long after the answer."""
PATIENCE = 15.0
"""Seconds in which a call must have come back, cancelled or not: no driver waits longer than five at each step."""
PAUSE = 0.05
"""Seconds for which a caller lets go of what is not available."""


class OutOfTimeError(Exception):
    """The caller's deadline has passed."""


class Worker:
    """One account. Every decision comes from `random`, so that a seed repeats it."""

    def __init__(self, shelf: Shelf, random: Random, outcomes: Counter[str], mix_ups: list[str]) -> None:
        self._shelf, self._random, self._outcomes, self._mix_ups = shelf, random, outcomes, mix_ups
        self.owner = new_id()
        self._canaries: dict[str, tuple[str, int]] = {}
        """How each value that it tried to put begins, and by how many bytes that is filled up."""
        self.acknowledged: list[str] = []
        """Keys of what was put."""

    async def operate(self) -> None:
        """One call, that may be cancelled."""
        choice = self._random.random()
        if choice < 0.45 or not self.acknowledged:
            await self._suffer(self.put())
        elif choice < 0.85:
            await self._suffer(self._get(self._random.choice(self.acknowledged)))
        else:
            await self._suffer(self._some())

    async def put(self) -> None:
        key = new_id()
        self._canaries[key] = f"{self.owner}/{key}/{self._random.randbytes(16).hex()}", self._random.choice(SIZES)
        await self._shelf.put(self.owner, key, self._value(key))
        self.acknowledged.append(key)

    async def look_again(self) -> None:
        """Reads all that was acknowledged, in calm weather; what is not available is asked for again."""
        for key in self.acknowledged:
            async with asyncio.timeout(PATIENCE):
                while await self._end(asyncio.create_task(self._get(key))) != "done":
                    pass

    async def _get(self, key: str) -> None:
        self._compare("get", key, await self._shelf.get(self.owner, key))

    async def _some(self) -> None:
        for key, value in (await self._shelf.some(self.owner)).items():
            self._compare("some", key, value)

    def _value(self, key: str) -> str:
        canary, filling = self._canaries[key]
        return canary + "." * filling

    def _compare(self, call: str, key: str, value: str | None) -> None:
        if value is None or key not in self._canaries or value != self._value(key):
            self._mix_ups.append(f"{call} of {self.owner}/{key} brought {value and value[:120]}")

    async def _suffer(self, call: Coroutine[Any, Any, None]) -> None:
        """Makes a call, perhaps cancels it, and counts what became of it."""
        seconds = 10 ** self._random.uniform(*SECONDS)
        match self._random.choice(("nothing", "deadline", "turns", "time")):
            case "nothing":
                task = asyncio.create_task(call)
            case "deadline":
                task = asyncio.create_task(_within(seconds, call))
            case "turns":
                task = asyncio.create_task(call)
                for _ in range(self._random.randrange(MAX_TURNS)):
                    await asyncio.sleep(0)
                task.cancel()
            case _:
                task = asyncio.create_task(call)
                await asyncio.wait({task}, timeout=seconds)
                task.cancel()
        self._outcomes[await self._end(task)] += 1

    async def _end(self, task: asyncio.Task[None]) -> str:
        """What became of a call. Raises what no caller expects."""
        done, _ = await asyncio.wait({task}, timeout=PATIENCE)
        assert done, f"a call did not come back for {PATIENCE:.0f} s"
        if task.cancelled():
            return "cancelled"
        match task.exception():
            case None:
                return "done"
            case OutOfTimeError():
                return "out of time"
            case DomainError(reason=Reason.UNAVAILABLE | Reason.DEADLINE_EXCEEDED):
                await self._recover()
                return "unavailable"
            case error:
                raise error

    async def _recover(self) -> None:
        """Waits until the driver can be used again, as who calls a service waits until that is ready."""
        async with asyncio.timeout(PATIENCE):
            while True:
                await asyncio.sleep(PAUSE)
                with suppress(DomainError, TimeoutError):
                    async with asyncio.timeout(CHECK_SECONDS):
                        await self._shelf.check()
                        return


async def _within(seconds: float, call: Coroutine[Any, Any, None]) -> None:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            await call
    except TimeoutError:
        if limit.expired():
            raise OutOfTimeError from None
        raise  # no driver may let one out
