"""A driver's passage through a storm, and what it brought and left behind."""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cancellation.backends import Start
from tests.cancellation.leftovers import Leftovers, tasks_now
from tests.cancellation.shelf import Backend
from tests.cancellation.storm import Storm, until_it_works
from tests.cancellation.worker import PATIENCE, PAUSE
from tests.proxy import Proxy, proxy


@dataclass(frozen=True, slots=True)
class Report:
    outcomes: Counter[str]
    acknowledged: int
    """Values put and acknowledged, each of which was read again afterwards."""
    mix_ups: list[str]
    """Whose value was not given, or another's."""
    too_many: Counter[str]
    """What the open driver held more of than it may, once the weather was calm."""
    left_over: Counter[str]
    """What was there still when the driver was closed."""
    unseen: list[str]
    """What failed where nobody looked."""
    seconds: float


async def pass_through(
    start: Start, folder: Path, seed: str, operations: int, progress: Callable[[int], None] = lambda _: None
) -> Report:
    started = time.monotonic()
    unseen: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(str(context)))
    async with start(folder) as backend, _before(backend) as between:
        # What a driver makes once for its process is there from the first time on.
        await _open_once(backend, between)
        await _emptied(between)
        before = Leftovers.now()
        outcomes, acknowledged, mix_ups, too_many = await _storm(backend, between, seed, operations, progress)
        await _emptied(between)
        left_over = await before.gone(PATIENCE)
    return Report(outcomes, acknowledged, mix_ups, too_many, left_over, unseen, time.monotonic() - started)


async def _open_once(backend: Backend, between: Sequence[Proxy]) -> None:
    async with backend.opened(*_ports(between)) as shelf:
        await until_it_works(shelf)


async def _storm(
    backend: Backend, between: Sequence[Proxy], seed: str, operations: int, progress: Callable[[int], None]
) -> tuple[Counter[str], int, list[str], Counter[str]]:
    async with backend.opened(*_ports(between)) as shelf:
        await until_it_works(shelf)
        tasks = tasks_now()
        storm = Storm(shelf, between, seed, operations, progress)
        await storm.blow()
        too_many = await _too_many(between, backend.connections, tasks)
    return storm.outcomes, storm.acknowledged, storm.mix_ups, too_many


def _ports(between: Sequence[Proxy]) -> list[int]:
    return [each.port for each in between]


@asynccontextmanager
async def _before(backend: Backend) -> AsyncIterator[Sequence[Proxy]]:
    async with AsyncExitStack() as opened:
        yield [await opened.enter_async_context(proxy(*address)) for address in backend.addresses]


async def _emptied(between: Sequence[Proxy]) -> None:
    """Returns when nobody is connected."""
    async with asyncio.timeout(PATIENCE):
        while any(each.connections for each in between):
            # A cancelled call of gRPC is a ring of objects that keeps the channel's connection until it is collected.
            gc.collect()
            await asyncio.sleep(PAUSE)


async def _too_many(between: Sequence[Proxy], connections: int, tasks: Counter[str]) -> Counter[str]:
    """Connections and tasks above what there may be, once those that were just given up have gone."""
    allowed = tasks + Counter(connections=connections)
    until = time.monotonic() + PATIENCE
    while True:
        found = tasks_now() + Counter(connections=sum(each.connections for each in between)) - allowed
        if not found or time.monotonic() > until:
            return found
        await asyncio.sleep(PAUSE)
