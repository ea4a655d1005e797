"""One measurement: what the reading side saw, and what it took of each process meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.streams.arrivals import Summary
from benchmarks.streams.child import reading
from benchmarks.streams.client import Job
from benchmarks.streams.processes import Processes

LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Measured:
    what: str
    seen: Summary
    cpu_seconds: Mapping[str, float]
    """By process, from the start to the end."""
    memory_per_stream: float = 0
    """Bytes that the server grew by at most, for each stream with its connection; 0 where nobody looked."""


async def measure(what: str, job: Job, servers: Mapping[str, Sequence[int]], grows: str = "") -> Measured:
    """`grows`: the server whose memory is looked at."""
    growth = Growth(Processes(servers), grows)
    async with reading(job) as client:
        processes = Processes({**servers, "client": [client.pid]})
        looking = asyncio.create_task(growth.look())
        client.go()
        assert "start" in await client.said()
        processes.cpu_seconds()
        seen = Summary(**await client.said())
        taken = processes.cpu_seconds()
        looking.cancel()
    return Measured(what, seen, taken, growth.bytes / job.streams)


class Growth:
    def __init__(self, processes: Processes, name: str) -> None:
        self._processes, self._name = processes, name
        self._before = processes.resident_bytes(name) if name else 0
        self.bytes = 0

    async def look(self) -> None:
        while self._name:
            self.bytes = max(self.bytes, self._processes.resident_bytes(self._name) - self._before)
            await asyncio.sleep(LOOK_SECONDS)
