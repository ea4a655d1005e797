"""A run: everything in turn, round by round, so that a busy moment of the machine hits all alike."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.streams.child import child, reading
from benchmarks.streams.client import Job, Kind
from benchmarks.streams.measure import Measured, measure
from benchmarks.streams.plan import TOKENS_PER_SECOND, Plan
from benchmarks.streams.processes import Processes
from tests.mesh.running import Running, mesh

PARTS = ("mesh", "raw", "waiting")
SERVICES = ("edge", "conversation", "inference", "auth", "history", "metadata", "valkey")
TOGETHER, AT_ONCE, HALF = "together", "from pressing send", "half as long"
RAW: Mapping[Kind, str] = {"event streams": "server-sent events", "web sockets": "WebSocket"}


@dataclass(slots=True)
class Results:
    measured: list[Measured] = field(default_factory=list)
    waiting: int = 0
    """Subscriptions that were open."""
    waiting_cpu: dict[str, float] = field(default_factory=dict)
    """Of a core, by process, while they were."""


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def run(plan: Plan, parts: Sequence[str]) -> Results:
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        if "mesh" in parts or "raw" in parts:
            async with mesh(Path(folder) / "paced", environment=_paced(max(*plan.streams, 1))) as running:
                await _measure(plan, parts, running, results)
        if "waiting" in parts:
            async with mesh(Path(folder) / "waiting", environment=_paced(plan.waiting)) as running:
                await _wait(plan, running, results)
    return results


def _paced(slots: int) -> Mapping[str, str]:
    return {
        "PARLEY_ENGINE": "fake",
        "PARLEY_FAKE_TOKENS_PER_SECOND": str(TOKENS_PER_SECOND),
        "PARLEY_SLOTS": str(slots),
        "PARLEY_MAX_TURNS": str(slots),
        "PARLEY_TENANT_SHARE": "1",
        "PARLEY_PENDING_PROMPT_TOKENS_LIMIT": "1000000",
    }


async def _measure(plan: Plan, parts: Sequence[str], running: Running, results: Results) -> None:
    pids = _pids(running)
    if "mesh" in parts:
        await measure("warm up", _job(running, 5, plan.tokens // 10, 2), pids)
    for number in range(plan.rounds):
        for streams in plan.streams if "mesh" in parts else ():
            progress(f"round {number + 1}: {streams} replies")
            together = _job(running, streams, plan.tokens, plan.lead_seconds)
            results.measured.append(await measure(TOGETHER, together, pids, grows="edge"))
            results.measured.append(await measure(AT_ONCE, _job(running, streams, plan.tokens, 0), pids))
        if "mesh" in parts:
            short = _job(running, min(plan.streams), plan.tokens // 2, plan.lead_seconds)
            results.measured.append(await measure(HALF, short, pids))
        for streams in plan.raw if "raw" in parts else ():
            progress(f"round {number + 1}: {streams} streams without a mesh")
            await _measure_raw(streams, plan.tokens, results)


async def _measure_raw(streams: int, tokens: int, results: Results) -> None:
    async with child("benchmarks.streams.raw_server") as server:
        port = await server.said()
        for kind, name in RAW.items():
            job = Job(kind, "127.0.0.1", port, streams, tokens)
            results.measured.append(await measure(name, job, {"server": [server.pid]}))


async def _wait(plan: Plan, running: Running, results: Results) -> None:
    progress(f"{plan.waiting} subscriptions to replies that wait")
    job = _job(running, plan.waiting, plan.tokens, 100_000, kind="waiting")
    async with reading(job) as client:
        processes = Processes({**_pids(running), "client": [client.pid]})
        await asyncio.sleep(plan.waiting_seconds / 5)
        processes.cpu_seconds()
        await asyncio.sleep(plan.waiting_seconds)
        taken = processes.cpu_seconds()
    results.waiting = plan.waiting
    results.waiting_cpu = {name: seconds / plan.waiting_seconds for name, seconds in taken.items()}


def _job(running: Running, streams: int, tokens: int, lead_seconds: float, kind: Kind = "replies") -> Job:
    host, _, port = running.url.removeprefix("http://").partition(":")
    return Job(kind, host, int(port), streams, tokens, running.api_key, lead_seconds)


def _pids(running: Running) -> Mapping[str, Sequence[int]]:
    return {"launcher": [running.launcher]} | {name: running.processes(name) for name in SERVICES}
