"""What a list costs, whoever has however many conversations.

    python -m benchmarks.metadata_store [URL [MANY]]

Lists 20 of an owner's 100 and 20 of another's 10,000 (or MANY) conversations, the first ones and ones in the middle, in
turn, in the store at URL (a file of its own where there is none), and prints the times and their ratio. The store
shares the machine with its client.
"""

import asyncio
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence

from services.chassis.errors import DomainError
from services.metadata.store import Conversation, Filter, Position, Store
from tests.metadata.contract import conversation, new_owner, position
from tests.metadata.opened import opened

FEW, MANY = 100, 10_000
PAGE = 20
ROUNDS = 100
WARM_UP = 10
AT_ONCE = 16
SHOWN = Filter(archived=False)


async def fill(store: Store, count: int) -> Sequence[Conversation]:
    """An owner's conversations, in the order of the list."""
    owner = new_owner()
    rows = [conversation(owner, after=n, name=f"About {n}", pinned=n % 50 == 0) for n in range(count)]
    shuffled = random.sample(rows, count)
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*map(store.create, shuffled[start : start + AT_ONCE]))
    return sorted(rows, key=lambda row: (row.pinned, row.update_time), reverse=True)


async def milliseconds(store: Store, rows: Sequence[Conversation], after: Position | None) -> float:
    """For a page; without end where the store gave up."""
    started = time.perf_counter()
    try:
        page = await store.list(rows[0].owner, SHOWN, after=after, limit=PAGE)
    except DomainError:
        return math.inf
    assert len(page) == PAGE
    return (time.perf_counter() - started) * 1000


async def compare(store: Store, few: Sequence[Conversation], many: Sequence[Conversation], *, middle: bool) -> None:
    taken: list[list[float]] = [[], []]
    for _ in range(WARM_UP + ROUNDS):
        for times, rows in zip(taken, (few, many), strict=True):
            after = position(rows[len(rows) // 2]) if middle else None
            times.append(await milliseconds(store, rows, after))
    where, medians = "in the middle" if middle else "the first", []
    for times, rows in zip(taken, (few, many), strict=True):
        times = sorted(times[WARM_UP:])
        medians.append(statistics.median(times))
        p99 = times[int(len(times) * 0.99) - 1]
        print(f"{PAGE} of {len(rows):6,}, {where}: p50 {medians[-1]:.2f} ms, p99 {p99:.2f} ms")
    print(f"{len(many):,} against {len(few)}, {where}: {medians[1] / medians[0]:.2f}x", flush=True)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/metadata.sqlite"
        count = int(sys.argv[2]) if len(sys.argv) > 2 else MANY
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {url.partition(':')[0]}", flush=True)
        async with opened(url) as store:
            few, many = await fill(store, FEW), await fill(store, count)
            for middle in (False, True):
                await compare(store, few, many, middle=middle)
            for row in (*few, *many):
                await store.delete(row.owner, row.conversation_id)


if __name__ == "__main__":
    asyncio.run(main())
