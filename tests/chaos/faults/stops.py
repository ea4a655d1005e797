"""SIGSTOP of each service for a while: a zombie that wakes cannot write."""

import asyncio
from collections.abc import Sequence
from functools import partial
from random import Random

from tests.chaos.arena import Arena
from tests.chaos.fault import Fault
from tests.chaos.faults.kills import SERVICES, at_a_word
from tests.chaos.workload import LONG_WORDS

SECONDS = (5, 30, 90)
THREATENS = "a process that was only asleep cannot write when it wakes"


async def _stop(services: Sequence[str], seconds: float, arena: Arena, draw: Random) -> None:
    """One replica of each service in turn, at a token of an answer."""
    for service in draw.sample(services, len(services)):
        victims = await at_a_word(arena, draw.randrange(1, LONG_WORDS // 2))
        async with arena.stopped(draw.choice(arena.processes(service))):
            await asyncio.sleep(seconds)
        await arena.until_over(victims)
        await arena.until_healthy()


FAULTS = (
    Fault("stop-each-5s", THREATENS, partial(_stop, SERVICES, 5)),
    *(
        Fault(f"stop-{service}-{seconds}s", THREATENS, partial(_stop, [service], seconds))
        for service in SERVICES
        for seconds in SECONDS
    ),
)
