"""Stores that die, forget, or cannot be reached for a few seconds."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random

from tests.chaos.arena import Arena
from tests.chaos.fault import Fault, Strike
from tests.chaos.stage import Stage
from tests.faults.places import Place, cassandra_place, mongodb_place, postgres_place, redis_place
from tests.mesh.running import free_port
from tests.proxy import proxy
from tests.valkey import valkey

SECONDS = (2.0, 6.0)
"""How long a store cannot be reached."""
DELAY_SECONDS = (0.1, 1.2)
"""What every piece of a slow store's conversation takes longer, each way."""


async def _kill(arena: Arena, rng: Random) -> None:
    """Once or twice: a killed server may die again while it is written to anew."""
    for _ in range(rng.choice((1, 1, 2))):
        await arena.kill(*arena.processes("valkey"))
        await asyncio.sleep(rng.uniform(0, 2))


async def _empty(arena: Arena, rng: Random) -> None:
    """Its files go before it does, so that whoever starts it again finds none, however quick he is."""
    await asyncio.sleep(rng.uniform(0, 1))
    processes = arena.processes("valkey")
    shutil.rmtree(arena.running.folder / "valkey" / "appendonlydir")
    arena.signal(signal.SIGKILL, *processes)
    await arena.replaced(*processes)


def _down(store: str) -> Strike:
    async def strike(arena: Arena, rng: Random) -> None:
        between = arena.stage.proxies[store]
        await between.close()
        await asyncio.sleep(rng.uniform(*SECONDS))
        await between.open()

    return strike


def _slow(store: str) -> Strike:
    async def strike(arena: Arena, rng: Random) -> None:
        between = arena.stage.proxies[store]
        between.delay = rng.uniform(*DELAY_SECONDS)
        await asyncio.sleep(rng.uniform(*SECONDS))
        between.delay = 0.0

    return strike


def _deaf(store: str) -> Strike:
    """Connections stay open and nothing arrives, one way; then all that was held does."""

    async def strike(arena: Arena, rng: Random) -> None:
        between, requests = arena.stage.proxies[store], rng.random() < 0.5
        between.hold(requests=requests, answers=not requests)
        await asyncio.sleep(rng.uniform(*SECONDS))
        between.let_go()

    return strike


@asynccontextmanager
async def _valkey_behind_proxy(folder: Path) -> AsyncIterator[Stage]:
    port = free_port()
    async with valkey(folder, "--port", str(port)) as server, proxy("127.0.0.1", port) as between:
        url = {"PARLEY_REDIS_URL": f"redis://127.0.0.1:{between.port}"}
        yield Stage(environment=url, proxies={"journal": between}, valkey=server)


def _behind_proxy(
    store: str, variable: str, open_place: Callable[[], AbstractAsyncContextManager[Place]]
) -> Callable[[Path], AbstractAsyncContextManager[Stage]]:
    @asynccontextmanager
    async def stage(folder: Path) -> AsyncIterator[Stage]:
        del folder
        async with open_place() as place, proxy(place.server.host, place.server.port) as between:
            environment = {variable: place.through(between.port)}
            if store == "redis":
                environment["PARLEY_REDIS_PREFIX"] = place.name
            yield Stage(environment=environment, proxies={store: between})

    return stage


_WHILE = {"down": _down, "slow": _slow, "deaf": _deaf}
_JOURNAL = "a reply goes on through a journal that cannot be reached, and its reader misses nothing"
_ROWS = "what was acknowledged is stored, and a reply waits for a store that cannot be reached"
_SERVERS = (
    ("cassandra", "PARLEY_HISTORY_STORE_URL", cassandra_place, _ROWS),
    ("mongodb", "PARLEY_METADATA_STORE_URL", mongodb_place, _ROWS),
    ("postgres", "PARLEY_AUTH_STORE_URL", postgres_place, "one settled charge a reply"),
    ("redis", "PARLEY_REDIS_URL", redis_place, _JOURNAL),
)

FAULTS = (
    Fault("valkey-killed", "a queue and a journal outlive their server", _kill, kinds=("embedded",)),
    Fault(
        "valkey-emptied",
        "all that the journal holds may vanish: what was acknowledged is answered all the same",
        _empty,
        kinds=("embedded",),
    ),
    *(
        Fault(
            f"journal-{name}",
            _JOURNAL,
            strike("journal"),
            stage=_valkey_behind_proxy,
            kinds=("embedded",),
        )
        for name, strike in _WHILE.items()
    ),
    *(
        Fault(
            f"{store}-{name}",
            promise,
            strike(store),
            stage=_behind_proxy(store, variable, place),
            kinds=("real",),
        )
        for store, variable, place, promise in _SERVERS
        for name, strike in _WHILE.items()
    ),
)
