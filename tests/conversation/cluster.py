"""A cluster of its own for a test run: three primaries with a replica each, on loopback, which tests may break."""

import asyncio
import contextlib
import random
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.valkey import BINARY

PRIMARIES = 3
SLOTS = 16_384
NODE_TIMEOUT_MILLISECONDS = 1_000
"""After so long without a sign a primary is dead, and its replica asks to be elected."""
SETTLE_SECONDS = 20


class Node:
    """One server of the cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.bus_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(BINARY, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)),
                *("--cluster-node-timeout", str(NODE_TIMEOUT_MILLISECONDS), "--cluster-replica-validity-factor", "0"),
                *("--cluster-allow-replica-migration", "no", "--repl-diskless-sync-delay", "0"),
                *("--appendonly", "no", "--save", "", "--daemonize", "no"),
            ],
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The server hangs inside this block."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def ask(self, *words: str | int) -> Any:
        async with Redis(port=self.port, decode_responses=True, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as redis:
            return await cast("Any", redis).execute_command(*words)

    async def answers(self) -> bool:
        with contextlib.suppress(RedisError, OSError):
            return bool(await self.ask("PING"))
        return False


class Cluster:
    """Use as a context manager; `form` makes a cluster of its servers."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [Node(folder / str(number)) for number in range(2 * PRIMARIES)]

    def __enter__(self) -> "Cluster":
        for node in self.nodes:
            node.start()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()

    @property
    def url(self) -> str:
        return "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:PRIMARIES])

    async def form(self) -> None:
        await _until(self._all_answer)
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < PRIMARIES:
                bounds = number * SLOTS // PRIMARIES, (number + 1) * SLOTS // PRIMARIES - 1
                await node.ask("CLUSTER", "ADDSLOTSRANGE", *bounds)
            if node is not first:
                await first.ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        await _until(self._all_met)
        for primary, replica in zip(self.nodes[:PRIMARIES], self.nodes[PRIMARIES:], strict=True):
            await replica.ask("CLUSTER", "REPLICATE", await primary.ask("CLUSTER", "MYID"))
        await self.settle()

    async def settle(self) -> None:
        """Starts what is dead, and returns when every primary has a replica that is up to date."""
        for node in self.nodes:
            if not await node.answers():
                node.kill()
                node.start()
        await _until(self._is_whole)

    async def flush(self) -> None:
        for node in self.nodes:
            if (await node.ask("ROLE"))[0] == "master":
                await node.ask("FLUSHALL")

    @asynccontextmanager
    async def moving(self, slot: int, to_owner_of: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """The slot is on its way to another node inside this block; calling what it yields moves what it has."""
        source, target = await self.primary_of(slot), await self.primary_of(to_owner_of)
        source_id, target_id = await source.ask("CLUSTER", "MYID"), await target.ask("CLUSTER", "MYID")
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)

        async def move() -> None:
            while keys := await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
                await source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 1000, "KEYS", *keys)

        try:
            yield move
        finally:
            await move()
            for node in (target, source):
                await node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    async def primary_of(self, slot: int) -> Node:
        return (await self._shard_of(slot))[0]

    async def replica_of(self, slot: int) -> Node:
        return (await self._shard_of(slot))[1]

    async def _shard_of(self, slot: int) -> list[Node]:
        """As the first server that answers sees it."""
        for node in self.nodes:
            if await node.answers():
                for first, last, *members in await _ranges(node):
                    if first <= slot <= last:
                        return [self.at(member[1]) for member in members]
        raise AssertionError(f"nobody has slot {slot}")

    def at(self, port: int) -> Node:
        return next(node for node in self.nodes if node.port == port)

    async def _all_answer(self) -> bool:
        return all(await asyncio.gather(*(node.answers() for node in self.nodes)))

    async def _all_met(self) -> bool:
        known = await asyncio.gather(*(_info(node) for node in self.nodes))
        return all(info["cluster_known_nodes"] == str(len(self.nodes)) for info in known)

    async def _is_whole(self) -> bool:
        with contextlib.suppress(RedisError, OSError):
            infos = await asyncio.gather(*(_info(node) for node in self.nodes))
            views = await asyncio.gather(*(_ranges(node) for node in self.nodes))
            roles = await asyncio.gather(*(node.ask("ROLE") for node in self.nodes))
            linked = all(role[0] == "master" or role[3] == "connected" for role in roles)
            paired = sum(role[0] == "master" and len(role[2]) == 1 for role in roles) == PRIMARIES
            agreed = all(sorted(view) == sorted(views[0]) for view in views)
            return linked and paired and agreed and all(info["cluster_state"] == "ok" for info in infos)
        return False


async def _ranges(node: Node) -> list[Any]:
    """(first slot, last slot, primary, replica…) with (host, port, id) for each server."""
    return [
        [*span[:2], *([str(member[0]), int(member[1]), str(member[2])] for member in span[2:])]
        for span in await node.ask("CLUSTER", "SLOTS")
    ]


async def _info(node: Node) -> dict[str, str]:
    lines = str(await node.ask("CLUSTER", "INFO")).split()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(SETTLE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Below those that the system lends to clients, so that a server finds its own free when it is started again."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(range(21_000, 32_000), 200):
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no ports are free")
