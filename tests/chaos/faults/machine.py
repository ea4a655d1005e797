"""What a machine does to the processes on it: it holds one up, sets its clock, has no disk or no files left for it.

A clock jumps as Python code sees it (`inside/sitecustomize.py`). Redis, whose clock the leases go by, is no Python and
keeps the machine's time.
"""

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from random import Random

from services.launcher.arguments import SERVICES
from services.launcher.probe import healthy
from tests.chaos.arena import Arena, Process
from tests.chaos.disk import fill, free, small_disk
from tests.chaos.fault import Fault, Strike
from tests.chaos.orders import ENVIRONMENT, order

JUMP_SECONDS = (-600, 600)
CLOCK_SECONDS = (10.0, 10.0, 75.0, 3.0, 3.0)
"""How long a clock is wrong: mostly shorter than a token lives, to spare the runs' time, and longer."""
BLOCKED_SECONDS = (1.0, 8.0)
"""Some of it is shorter than the silence after which a peer counts as dead."""
FULL_SECONDS = (3.0, 8.0)
KNOCKS = 16
"""Connections that want a file of a process that has none left."""


async def _block(arena: Arena, rng: Random) -> None:
    processes = arena.processes(rng.choice(SERVICES))
    seconds = rng.uniform(*BLOCKED_SECONDS)
    for process in rng.choice((processes[:1], processes)):
        await order(arena, process, f"sleep {seconds}")
    await asyncio.sleep(seconds)


async def _one_clock(arena: Arena, rng: Random) -> None:
    await _jump(arena, rng, [rng.choice(arena.processes(rng.choice(SERVICES)))])


async def _clocks_of_a_service(arena: Arena, rng: Random) -> None:
    await _jump(arena, rng, arena.processes(rng.choice(SERVICES)))


async def _all_clocks(arena: Arena, rng: Random) -> None:
    """As on one machine whose clock is set. Some stay so: then nothing is wrong, and all that was known is."""
    await _jump(arena, rng, [each for name in SERVICES for each in arena.processes(name)], back=rng.random() < 0.5)


async def _jump(arena: Arena, rng: Random, processes: Iterable[Process], *, back: bool = True) -> None:
    seconds = rng.choice(JUMP_SECONDS)
    await asyncio.gather(*(order(arena, process, f"clock {seconds}") for process in processes))
    await asyncio.sleep(rng.choice(CLOCK_SECONDS))
    if back:
        await asyncio.gather(*(order(arena, process, "clock 0") for process in processes))


async def _fill_disk(arena: Arena, rng: Random) -> None:
    folder = arena.running.folder
    fill(folder)
    await asyncio.sleep(rng.uniform(*FULL_SECONDS))
    free(folder)


async def _fill_disk_and_kill(arena: Arena, rng: Random) -> None:
    """What dies on a full disk cannot write even that it lives again."""
    folder = arena.running.folder
    fill(folder)
    await asyncio.sleep(rng.uniform(0, 2))
    processes = arena.processes(rng.choice(("valkey", *SERVICES)))
    arena.signal(signal.SIGKILL, *processes)
    await asyncio.sleep(rng.uniform(*FULL_SECONDS))
    free(folder)
    await arena.until_healthy()


def _take_files(service: str) -> Strike:
    async def strike(arena: Arena, rng: Random) -> None:
        process = rng.choice(arena.processes(service))
        with _no_files(process, spare=rng.randrange(3)):
            async with _knocking(arena.running.addresses(service)):
                await asyncio.sleep(rng.uniform(*FULL_SECONDS))
        await arena.until(lambda: healthy(process.endpoint))  # whoever was connected would not notice

    return strike


@contextmanager
def _no_files(process: Process, spare: int) -> Iterator[None]:
    """It may open `spare` more, and keeps those it has."""
    taken = {int(path.name) for path in Path(f"/proc/{process.pid}/fd").iterdir()}
    limit = next(islice((number for number in count() if number not in taken), spare, None))
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)


@asynccontextmanager
async def _knocking(addresses: Iterable[str]) -> AsyncIterator[None]:
    """Strangers connect and say nothing."""
    knocks: list[asyncio.StreamWriter] = []
    try:
        for address in set(addresses):
            host, _, port = address.rpartition(":")
            for _ in range(KNOCKS):
                _, knock = await asyncio.open_connection(host, int(port))
                knocks.append(knock)
        yield
    finally:
        for knock in knocks:
            knock.transport.abort()


_GOES_ON = "a reply goes on elsewhere, and whoever was held up writes nothing that is not his any more"
_CLOCK = "nobody is signed out and no reply fails because clocks disagree"
_DISK = "what cannot be stored is refused, and what was acknowledged is stored"
_FILES = "a process without files left harms nobody's reply, and serves again when it has some"

FAULTS = (
    Fault("loop-blocked", _GOES_ON, _block, environment=ENVIRONMENT),
    Fault("clock-of-one", _CLOCK, _one_clock, environment=ENVIRONMENT),
    Fault("clock-of-a-service", _CLOCK, _clocks_of_a_service, environment=ENVIRONMENT),
    Fault("clock-of-all", _CLOCK, _all_clocks, environment=ENVIRONMENT),
    Fault("disk-full", _DISK, _fill_disk, stage=small_disk, kinds=("embedded",)),
    Fault("disk-full-and-killed", _DISK, _fill_disk_and_kill, stage=small_disk, kinds=("embedded",)),
    Fault("files-of-edge", _FILES, _take_files("edge")),
    Fault("files-of-conversation", _FILES, _take_files("conversation")),
)
