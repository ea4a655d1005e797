"""The mesh under test and its processes, as a fault sees them."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import psutil
from redis.asyncio import Redis

from services.launcher.probe import Endpoint, Kind, healthy
from tests.chaos.client import Client
from tests.chaos.record import History
from tests.chaos.stage import Stage
from tests.chaos.stream import Stream
from tests.mesh.engines import engines_busy
from tests.mesh.running import Running

UNTIL_SECONDS = 60.0
LOOK_SECONDS = 0.02
OVER_SECONDS = 180.0
"""As long as a client has patience."""

Ask = Callable[[], Awaitable[Stream]]
"""Asks a long question as one of the people of the workload."""


@dataclass(frozen=True, slots=True)
class Process:
    service: str
    label: str
    """Of the replica; the process that replaces it has the same."""
    pid: int
    endpoint: Endpoint


class Arena:
    def __init__(
        self,
        running: Running,
        stage: Stage,
        clients: Sequence[Client],
        history: History,
        ask: Ask,
        whole: Callable[[Stream], str],
    ) -> None:
        """`whole`: the text that a stream will have in the end."""
        self.running, self.stage, self.whole = running, stage, whole
        self.clients, self.history = clients, history
        self._ask = ask

    # -- processes ---------------------------------------------------------------------------------------------------

    def processes(self, service: str) -> list[Process]:
        """The replicas of a service, valkey included, as they are now."""
        state = json.loads((self.running.folder / "state.json").read_text())
        return [
            Process(
                service,
                each["label"],
                each["pid"],
                Endpoint(Kind(each["endpoint"]["kind"]), each["endpoint"]["address"]),
            )
            for each in state["processes"]
            if each["name"] == service
        ]

    def signal(self, number: signal.Signals, *processes: Process) -> None:
        """To those that still are."""
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    @asynccontextmanager
    async def stopped(self, *processes: Process) -> AsyncIterator[None]:
        """They hang (SIGSTOP) inside the block."""
        self.signal(signal.SIGSTOP, *processes)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT, *processes)

    async def kill(self, *processes: Process) -> None:
        """SIGKILL; returns when their successors are ready."""
        self.signal(signal.SIGKILL, *processes)
        await self.replaced(*processes)

    async def replaced(self, *processes: Process) -> None:
        """Returns when the launcher has started all of them again and they are ready."""
        for process in processes:
            await self.until(partial(self._is_replaced, process))

    async def _is_replaced(self, old: Process) -> bool:
        [now] = [each for each in self.processes(old.service) if each.label == old.label]
        return now.pid != old.pid and await healthy(now.endpoint)

    async def until_healthy(self) -> None:
        """Returns when every process of the mesh is ready."""
        for service in ("valkey", "auth", "history", "metadata", "inference", "conversation", "edge"):
            for process in self.processes(service):
                await self.until(partial(healthy, process.endpoint))

    # -- what runs ---------------------------------------------------------------------------------------------------

    async def ask(self) -> Stream:
        """A long answer to strike at, acknowledged and watched; which words it has follows from the run's seed."""
        return await self._ask()

    async def ask_several(self, count: int) -> Sequence[Stream]:
        return await asyncio.gather(*(self.ask() for _ in range(count)))

    async def writer(self, stream: Stream) -> Process:
        """The replica of conversation that took its turn last, by what the logs say."""
        taken: dict[str, Process] = {}

        def is_taken() -> bool:
            for process in self.processes("conversation"):
                number = process.label.partition("[")[2].rstrip("]") or "1"
                log = self.running.folder / "logs" / f"conversation-{number}.log"
                for line in log.read_text(errors="replace").splitlines():
                    if '"message": "turn taken' in line and stream.asked.reply_id in line:
                        taken[json.loads(line)["time"]] = process
            return bool(taken)

        await self.until(is_taken)
        return taken[max(taken)]

    async def until_over(self, streams: Sequence[Stream]) -> None:
        """Returns when all have come to their end."""
        async with asyncio.timeout(OVER_SECONDS):
            for stream in streams:
                await stream.over.wait()

    async def until(self, condition: Callable[[], bool | Awaitable[bool]], seconds: float = UNTIL_SECONDS) -> None:
        """Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                answer = condition()
                if answer if isinstance(answer, bool) else await answer:
                    return
                await asyncio.sleep(LOOK_SECONDS)

    @asynccontextmanager
    async def journal(self) -> AsyncIterator[Redis]:
        environment = psutil.Process(self.processes("conversation")[0].pid).environ()
        async with Redis.from_url(environment["PARLEY_REDIS_URL"], decode_responses=True) as redis:
            yield redis

    async def queued(self) -> int:
        """Turns that wait or run."""
        environment = psutil.Process(self.processes("conversation")[0].pid).environ()
        pattern = f"{environment.get('PARLEY_REDIS_PREFIX', 'parley')}:*:turns"
        async with self.journal() as redis:
            return sum([await redis.xlen(key) async for key in redis.scan_iter(pattern)])

    async def busy(self) -> int:
        """Generations that run or wait on all engines."""
        return await engines_busy(self.running)
