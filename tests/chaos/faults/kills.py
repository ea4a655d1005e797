"""SIGKILL of each service, at each phase that an answer has."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random

from tests.chaos.arena import Arena, Process
from tests.chaos.fault import Fault
from tests.chaos.stream import Stream
from tests.chaos.workload import LONG_WORDS

SERVICES = ("conversation", "inference", "edge", "history", "metadata", "auth")
VICTIMS = 4
"""Answers in the phase when the kill comes: nobody outside knows which engine or edge has one, so there are several."""
END_CHARACTERS = 40
"""This much before its end, an answer is about to end."""
HANG_SECONDS = 8.0
"""How long a store may hang until the answer is where it shall be; a token that has to be asked for keeps it away."""

PROMISE = "an answer survives the death of any process, at any moment"
CROWDED = {"PARLEY_MAX_TURNS": "3"}
"""Less than there are answers at once: some wait in the queue."""


@dataclass(frozen=True, slots=True)
class Target:
    service: str
    every: bool = False
    """Whether all its replicas die at once."""

    async def processes(self, arena: Arena, draw: Random, victim: Stream | None = None) -> Sequence[Process]:
        """One replica: whoever writes the victim, where that is known, or any."""
        replicas = arena.processes(self.service)
        drawn = draw.choice(replicas)
        if self.every:
            return replicas
        return [await arena.writer(victim) if victim and self.service == "conversation" else drawn]


Phase = Callable[[Arena, Random, Target], Awaitable[Sequence[Stream]]]
"""Kills the target when the answers that it returns are in the phase."""


async def before_dispatch(arena: Arena, draw: Random, target: Target) -> Sequence[Stream]:
    """While messages are sent: acknowledged or not, queued or not, taken or not, claimed or not."""
    asking = asyncio.create_task(arena.ask_several(VICTIMS))
    await asyncio.sleep(draw.uniform(0, 0.15))
    await arena.kill(*await target.processes(arena, draw))
    return await asking


async def soon_after(seconds: float, arena: Arena, draw: Random, target: Target) -> Sequence[Stream]:
    """At most so long after they were asked for."""
    victims = await arena.ask_several(VICTIMS)
    await asyncio.sleep(draw.uniform(0, seconds))
    await arena.kill(*await target.processes(arena, draw, victims[0]))
    return victims


async def at_a_token(arena: Arena, draw: Random, target: Target) -> Sequence[Stream]:
    victims = await at_a_word(arena, draw.randrange(1, LONG_WORDS - 10))
    await arena.kill(*await target.processes(arena, draw, victims[0]))
    return victims


async def before_the_row(arena: Arena, draw: Random, target: Target) -> Sequence[Stream]:
    """The last token is there, and the row is not: history hangs."""
    victims = await about_to_end(arena)
    async with arena.stopped(*arena.processes("history")):
        with suppress(TimeoutError):
            await arena.until(lambda: any(each.text == arena.whole(each) for each in victims), HANG_SECONDS)
        await asyncio.sleep(draw.uniform(0, 0.5))
        killing = asyncio.create_task(arena.kill(*await target.processes(arena, draw, victims[0])))
        await asyncio.sleep(draw.uniform(0, 0.5))
    await killing
    return victims


async def in_settle(arena: Arena, draw: Random, target: Target) -> Sequence[Stream]:
    """The row is there, and the charge is not: auth hangs."""
    victims = await about_to_end(arena)
    async with arena.stopped(*arena.processes("auth")):
        with suppress(TimeoutError):
            await arena.until(lambda: any(each.over.is_set() for each in victims), HANG_SECONDS)
        await asyncio.sleep(draw.uniform(0, 0.2))
        killing = asyncio.create_task(arena.kill(*await target.processes(arena, draw, victims[0])))
        await asyncio.sleep(draw.uniform(0, 0.5))
    await killing
    return victims


PHASES: dict[str, Phase] = {
    "dispatch": before_dispatch,
    "prefill": partial(soon_after, 0.25),
    "token": at_a_token,
    "row": before_the_row,
    "settle": in_settle,
}


async def at_a_word(arena: Arena, words: int) -> Sequence[Stream]:
    """Several answers, of which one has come so far."""
    victims = await arena.ask_several(VICTIMS)
    await arena.until(lambda: any(victim.words >= words for victim in victims))
    return victims


async def about_to_end(arena: Arena) -> Sequence[Stream]:
    victims = await arena.ask_several(VICTIMS)
    await arena.until(
        lambda: any(len(each.text) >= len(arena.whole(each)) - END_CHARACTERS for each in victims), seconds=120
    )
    return victims


async def _kill(services: Sequence[str], phases: Sequence[str], every: bool, arena: Arena, draw: Random) -> None:
    """At each of the phases a replica of each of the services, one after the other."""
    kills = [(service, phase) for service in services for phase in phases]
    for service, phase in draw.sample(kills, len(kills)):
        await _kill_once(PHASES[phase], Target(service, every), arena, draw)


async def _kill_once(phase: Phase, target: Target, arena: Arena, draw: Random) -> None:
    await arena.until_over(await phase(arena, draw, target))


async def _kill_twice(arena: Arena, draw: Random) -> None:
    """Whoever takes over dies, too: while the first one's lease lapses, or soon after."""
    victims = await at_a_word(arena, draw.randrange(1, LONG_WORDS // 2))
    processes = arena.processes("conversation")
    for process in draw.sample(processes, len(processes)):
        arena.signal(signal.SIGKILL, process)
        await asyncio.sleep(draw.uniform(0, 4))
    await arena.replaced(*processes)
    await arena.until_over(victims)


def _fault(name: str, services: Sequence[str], phases: Sequence[str], *, every: bool = False) -> Fault:
    strike = partial(_kill, services, phases, every)
    return Fault(f"kill-{name}", PROMISE, strike)


FAULTS = (
    _fault("each-server", SERVICES[:3], tuple(PHASES)),
    _fault("each-store", SERVICES[3:], tuple(PHASES)),
    *(_fault(f"{service}-{phase}", [service], [phase]) for service in SERVICES for phase in PHASES),
    Fault(
        "kill-conversation-queued",
        PROMISE,
        partial(_kill_once, partial(soon_after, 1), Target("conversation")),
        environment=CROWDED,
    ),
    Fault("kill-conversation-twice", PROMISE, _kill_twice),
    *(_fault(f"every-{service}", [service], tuple(PHASES), every=True) for service in SERVICES[:3]),
)
