"""What a history store costs as a conversation grows, and while a node of it dies.

    python -m benchmarks.history_store [--url URL]
    python -m benchmarks.history_store --url cassandra://… --kill COMMAND --start COMMAND

The first prints medians and 99th percentiles of appending a message and of reading the last 50, to conversations of 50,
5,000 and 50,000 messages, measured in turn, and the memory of a backup of them all; without a URL, of a file that is
removed again. The second writes and reads all the time while one command kills a node and the other starts it again.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from services.chassis.config import child_environment
from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.history.cassandra.limits import Limits
from services.history.cassandra.store import open_cassandra
from services.history.store import Message, Role, Store
from services.history.stores import migrate, open_store

SIZES = {50: 8, 5_000: 1, 50_000: 1}
"""How many conversations of each size: the smallest shall not have grown much in the end."""
ROUNDS = 400
WARM_UP = 50
TEXT = "All happy families are alike; each unhappy family is unhappy in its own way. " * 8
AT_ONCE = 32
LOADED = 8
"""Conversations written and read at once while a node dies."""
PAUSE_SECONDS = 0.02
"""Between two writes of one of them: the nodes share this machine."""
PHASE_SECONDS = 15.0


def next_message(conversation_id: str, parent_id: str | None) -> Message:
    return Message("default", "ann", conversation_id, new_id(), parent_id, Role.USER, TEXT)


@asynccontextmanager
async def filling(url: str) -> AsyncIterator[tuple[Store, Callable[[], Awaitable[None]]]]:
    """A store, and what to wait for between writes: so that its segments are those of one that grew slowly."""
    if url.startswith("cassandra:"):
        async with open_cassandra(url, Limits(grace_seconds=0)) as store:
            await store.check()
            assert store._roller  # noqa: SLF001
            yield store, store._roller.idle  # noqa: SLF001
    else:
        async with open_store(url) as store:
            yield store, lambda: asyncio.sleep(0)


async def fill(url: str, size: int) -> Message:
    """A conversation, each message the child of the one before; returns its last."""
    conversation_id = new_id()
    rows: list[Message] = []
    for _ in range(size):
        rows.append(next_message(conversation_id, rows[-1].message_id if rows else None))
    async with filling(url) as (store, settled):
        for start in range(0, size, AT_ONCE):
            await asyncio.gather(*map(store.put, rows[start : start + AT_ONCE]))
            await settled()
    return rows[-1]


async def timed(call: Awaitable[object]) -> float:
    started = time.perf_counter()
    await call
    return (time.perf_counter() - started) * 1000


async def growth(url: str) -> None:
    started = time.perf_counter()
    last = {size: [await fill(url, size) for _ in range(count)] for size, count in SIZES.items()}
    count = sum(size * count for size, count in SIZES.items())
    print(f"{count} messages of {len(TEXT)} bytes written in {time.perf_counter() - started:.0f} s")
    appended: dict[int, list[float]] = {size: [] for size in SIZES}
    read: dict[int, list[float]] = {size: [] for size in SIZES}
    async with open_store(url) as store:
        await store.check()
        for number in range(WARM_UP + ROUNDS):
            for size in random.sample(list(SIZES), len(SIZES)):
                leaf = last[size].pop(0)
                message = next_message(leaf.conversation_id, leaf.message_id)
                last[size].append(message)
                append = await timed(store.put(message))
                scan = await timed(store.scan(leaf.conversation_id, upto=None, limit=50))
                if number >= WARM_UP:
                    appended[size].append(append)
                    read[size].append(scan)
    show("append", appended)
    show("last 50", read)


def show(name: str, taken: dict[int, list[float]]) -> None:
    smallest = taken[min(taken)]
    base = statistics.median(smallest), p99(smallest)
    for size, times in taken.items():
        p50, worst = statistics.median(times), p99(times)
        print(f"{name:8} {size:6} messages: p50 {p50:5.2f} ms, p99 {worst:6.2f} ms", end="")
        print(f"; {p50 / base[0]:.2f} and {worst / base[1]:.2f} of the smallest")


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99) - 1] if times else float("nan")


def backup_memory(url: str) -> float:
    """The most memory that a backup has taken, in MiB."""
    environment = child_environment({"PARLEY_STORE_URL": url})
    command = [sys.executable, "-m", "services.history.backup"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    said = process.stderr.read().decode().strip()
    _, _, used = os.wait4(process.pid, 0)
    print(f"backup: {said}", end="; ")
    return used.ru_maxrss / 1024


def memory(url: str, empty_url: str) -> None:
    asyncio.run(migrate(empty_url))
    empty, full = backup_memory(empty_url), backup_memory(url)
    print(f"\nbackup: {full:.0f} MiB at most, {full - empty:.0f} MiB more than for an empty store")


class Load:
    """Writers that each append to a conversation and read its end; an error is tried again with the same ids."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.taken: list[float] = []
        self.errors = 0
        self.acknowledged: dict[str, list[Message]] = {}

    async def run(self) -> None:
        conversation_id, parent_id = new_id(), None
        acknowledged = self.acknowledged.setdefault(conversation_id, [])
        while True:
            message = next_message(conversation_id, parent_id)
            started = time.perf_counter()
            await self._until_it_works(partial(self._store.put, message))
            acknowledged.append(message)
            await self._until_it_works(partial(self._store.scan, conversation_id, upto=None, limit=50))
            self.taken.append((time.perf_counter() - started) * 1000)
            parent_id = message.message_id
            await asyncio.sleep(PAUSE_SECONDS)

    async def _until_it_works(self, call: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await call()
                return
            except DomainError:
                self.errors += 1
                await asyncio.sleep(0.1)

    async def phase(self, name: str, meanwhile: str = "") -> None:
        """Lets it run, while a command does, and prints how it went."""
        self.taken.clear()
        self.errors, started = 0, time.perf_counter()
        if meanwhile:
            process = await asyncio.create_subprocess_exec(*meanwhile.split(), stderr=subprocess.DEVNULL)
            await process.wait()
        await asyncio.sleep(max(0.0, started + PHASE_SECONDS - time.perf_counter()))
        seconds, times = time.perf_counter() - started, self.taken
        print(
            f"{name:8} {len(times) / seconds:5.0f} appends and reads a second, p50 {statistics.median(times):5.1f} ms, "
            f"p99 {p99(times):6.1f} ms, slowest {max(times):5.0f} ms; {self.errors} tried again"
        )


async def death(url: str, kill: str, start: str) -> None:
    await migrate(url)
    async with open_store(url) as store:
        await store.check()
        load = Load(store)
        writers = [asyncio.create_task(load.run()) for _ in range(LOADED)]
        await load.phase("warm-up")
        await load.phase("before")
        await load.phase("killed", kill)
        await load.phase("without")
        await load.phase("starting", start)
        await load.phase("after")
        for writer in writers:
            writer.cancel()
        await asyncio.wait(writers)
        lost = 0
        for conversation_id, rows in load.acknowledged.items():
            for row in rows:
                lost += await store.get(conversation_id, row.message_id) != row
        print(f"of {sum(map(len, load.acknowledged.values()))} acknowledged messages {lost} are missing")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--url", default="", help="of a store that may be filled")
    arguments.add_argument("--kill", default="", help="a command that kills a node of it")
    arguments.add_argument("--start", default="", help="a command that starts that node again")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{folder}/history.sqlite"
        print(f"{url.partition(':')[0]}, {os.cpu_count()} cores, shared with this program")
        if given.kill:
            asyncio.run(death(url, given.kill, given.start))
        else:
            asyncio.run(migrate(url))
            asyncio.run(growth(url))
            memory(url, url.replace("?", "_empty?") if "?" in url else f"sqlite:///{folder}/empty.sqlite")


if __name__ == "__main__":
    main()
