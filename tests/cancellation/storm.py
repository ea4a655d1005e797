"""A storm: many accounts call through one driver, their calls are cancelled at every await, connections break."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from services.chassis.errors import DomainError
from services.chassis.server import CHECK_SECONDS
from tests.cancellation.shelf import Shelf
from tests.cancellation.weather import storm_over
from tests.cancellation.worker import PATIENCE, PAUSE, Worker
from tests.proxy import Proxy

WORKERS = 16
"""More than most drivers may have connections, so that some wait for one when they are cancelled."""
CUT_EVERY = 170
"""Operations after which all connections to one server are cut."""


@dataclass(slots=True)
class Storm:
    shelf: Shelf
    between: Sequence[Proxy]
    seed: str
    operations: int
    progress: Callable[[int], None] = lambda _: None
    """Is told of every operation."""
    outcomes: Counter[str] = field(default_factory=Counter)
    mix_ups: list[str] = field(default_factory=list)
    acknowledged: int = 0

    async def blow(self) -> None:
        """Ends when the operations are made, and all that was acknowledged has been read again in calm weather."""
        workers = [
            Worker(self.shelf, Random(f"{self.seed}/{number}"), self.outcomes, self.mix_ups)
            for number in range(WORKERS)
        ]
        weathers = [
            asyncio.create_task(storm_over(between, Random(f"{self.seed}/weather/{number}")))
            for number, between in enumerate(self.between)
        ]
        numbers, cuts = iter(range(1, self.operations + 1)), Random(f"{self.seed}/cuts")

        async def work(worker: Worker) -> None:
            for number in numbers:
                if self.between and number % CUT_EVERY == 0:
                    cuts.choice(self.between).cut()
                await worker.operate()
                self.progress(number)

        try:
            async with asyncio.TaskGroup() as working:
                for worker in workers:
                    working.create_task(work(worker))
        finally:
            for weather in weathers:
                weather.cancel()
            await asyncio.gather(*weathers, return_exceptions=True)
        async with asyncio.TaskGroup() as reading:
            for worker in workers:
                reading.create_task(worker.look_again())
        self.acknowledged = sum(len(worker.acknowledged) for worker in workers)


async def until_it_works(shelf: Shelf) -> None:
    """Until the driver is connected, a value is put, and read again."""
    mix_ups: list[str] = []
    worker = Worker(shelf, Random(0), Counter(), mix_ups)
    until = time.monotonic() + 2 * PATIENCE
    while not worker.acknowledged:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await shelf.check()
            await worker.put()
        except (DomainError, TimeoutError):
            if time.monotonic() > until:
                raise
            await asyncio.sleep(PAUSE)
    await worker.look_again()
    assert not mix_ups
