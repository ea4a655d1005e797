"""The short tour: every family of faults, many on one mesh, one after the other."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

from tests.chaos.arena import Arena
from tests.chaos.fault import Fault
from tests.chaos.faults import CATALOGUE
from tests.chaos.stage import Stage


def in_turn(name: str, *names: str) -> Fault:
    """Strikes with several faults of the catalogue, each when the mesh has recovered from the one before."""
    faults = [CATALOGUE[each] for each in names]

    async def strike(arena: Arena, draw: Random) -> None:
        for fault in faults:
            await fault.strike(arena, Random(draw.random()))
            await arena.until_healthy()

    return Fault(
        name,
        "; ".join(dict.fromkeys(fault.threatens for fault in faults)),
        strike,
        environment={key: value for fault in faults for key, value in fault.environment.items()},
        stage=_all_of(list(dict.fromkeys(fault.stage for fault in faults))),
        streams=max(fault.streams for fault in faults),
        kinds=tuple(kind for kind in ("embedded", "real") if all(kind in fault.kinds for fault in faults)),
    )


def _all_of(
    stages: list[Callable[[Path], AbstractAsyncContextManager[Stage]]],
) -> Callable[[Path], AbstractAsyncContextManager[Stage]]:
    if len(stages) == 1:
        return stages[0]

    @asynccontextmanager
    async def stage(folder: Path) -> AsyncIterator[Stage]:
        async with AsyncExitStack() as opened:
            found = [await opened.enter_async_context(each(folder)) for each in stages]
            yield Stage(
                environment={key: value for each in found for key, value in each.environment.items()},
                proxies={key: value for each in found for key, value in each.proxies.items()},
            )

    return stage


_ALL = (
    in_turn(
        "tour-kills",
        *(f"kill-conversation-{phase}" for phase in ("dispatch", "prefill", "token", "row", "settle")),
        *("kill-inference-prefill", "kill-inference-token", "kill-edge-token"),
        *("kill-history-row", "kill-metadata-dispatch", "kill-auth-settle"),
    ),
    in_turn("tour-stops", "stop-each-5s"),
    in_turn("tour-restart", "rolling-restart"),
    in_turn(
        "tour-clients",
        *("clients-cut", "clients-doubled", "clients-queue-doubled", "clients-slow", "clients-all-at-once"),
    ),
    in_turn("tour-deaf", "clients-deaf"),
    in_turn("tour-journal", "journal-down", "journal-slow", "journal-deaf"),
    in_turn("tour-valkey", "valkey-killed", "valkey-emptied"),
    in_turn("tour-disk", "disk-full", "disk-full-and-killed"),
    in_turn(
        "tour-machine",
        *("loop-blocked", "files-of-edge", "files-of-conversation"),
        *("clock-of-one", "clock-of-a-service", "clock-of-all"),
    ),
    in_turn("tour-stores", "cassandra-deaf", "mongodb-deaf", "postgres-deaf", "redis-deaf"),
)
TOUR: dict[str, Fault] = {fault.name: fault for fault in _ALL}
KNOWN = CATALOGUE | TOUR
