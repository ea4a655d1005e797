"""A rolling restart: SIGTERM of every replica of everything in turn, each ready again before the next."""

import asyncio
import signal
from functools import partial
from random import Random

from tests.chaos.arena import Arena
from tests.chaos.fault import Fault
from tests.chaos.faults.kills import SERVICES, about_to_end

STREAMS = 50
SLOW = {"PARLEY_FAKE_TOKENS_PER_SECOND": "15", "PARLEY_SLOTS": "64"}
"""So many answers at once leave a small machine time for the restarts."""


async def _restart(arena: Arena, draw: Random) -> None:
    """A service with one replica, as those with embedded stores have, is away for a moment: its calls are refused as
    UNAVAILABLE meanwhile, and come through when they are repeated."""
    for service in draw.sample(SERVICES, len(SERVICES)):
        for process in arena.processes(service):
            arena.signal(signal.SIGTERM, process)
            await arena.replaced(process)


async def _restart_while_hanging(store: str, arena: Arena, draw: Random) -> None:
    """Whoever writes an answer is asked to stop while the answer waits for a store."""
    victims = await about_to_end(arena)
    writer = await arena.writer(victims[0])
    async with arena.stopped(*arena.processes(store)):
        await asyncio.sleep(draw.uniform(0, 3))
        arena.signal(signal.SIGTERM, writer)
        await asyncio.sleep(draw.uniform(0, 3))
    await arena.replaced(writer)
    await arena.until_over(victims)


FAULTS = (
    Fault(
        "rolling-restart",
        "a restart of everything in turn fails no send and loses no stream",
        _restart,
        SLOW,
        streams=STREAMS,
    ),
    *(
        Fault(
            f"restart-conversation-{store}-hangs",
            "whoever is asked to stop hands over what it has, whatever it waits for",
            partial(_restart_while_hanging, store),
            kinds=("embedded",),
        )
        for store in ("history", "auth", "valkey")
    ),
)
