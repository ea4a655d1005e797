"""A service as a real process, and what can be seen of it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.channel import open_channel
from services.chassis.config import child_environment

START_SECONDS = 60.0
STOP_SECONDS = 30.0
LINE_BYTES = 2**20
QUICK_SECONDS = 0.5
"""For what needs no store."""
UNEXPECTED = ("unexpected", "a check broke")
"""What the chassis logs of errors that nobody thought of; a store that fails is none."""
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """What grpc.health says of a whole service, as it changes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = health_pb2_grpc.HealthStub(channel)

    async def now(self) -> int:
        started = time.monotonic()
        status: int = (await self._stub.Check(health_pb2.HealthCheckRequest(), timeout=1)).status
        assert time.monotonic() - started < QUICK_SECONDS, "liveness is slow"
        return status

    async def until(self, status: int, seconds: float) -> float:
        """Waits for a status; returns after how many seconds it was there."""
        started = time.monotonic()
        async for answer in self._stub.Watch(health_pb2.HealthCheckRequest(), timeout=seconds):
            if answer.status == status:
                return time.monotonic() - started
        raise AssertionError("the health stream ended")


@dataclass(frozen=True, slots=True)
class Running:
    process: Process
    channel: grpc.aio.Channel
    health: Health
    log: list[dict[str, Any]]


@asynccontextmanager
async def started(service: str, environment: Mapping[str, str]) -> AsyncIterator[Running]:
    """`python -m services.<service>` until the block is left, from when it listens on."""
    process = await begin(service, environment)
    log: list[dict[str, Any]] = []
    listening = asyncio.get_running_loop().create_future()

    async def read() -> None:
        assert process.stderr
        async for line in process.stderr:
            if not line.startswith(b"{"):
                listening.set_exception(AssertionError(line.decode()))
                return
            log.append(json.loads(line))
            if log[-1]["message"] == "listening":
                listening.set_result(log[-1]["port"])

    reading = asyncio.create_task(read())
    try:
        async with asyncio.timeout(START_SECONDS):
            port = await listening
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield Running(process, channel, Health(channel), log)
            assert process.returncode is None, "the process ended"
            unexpected = [entry for entry in log if entry["message"] in UNEXPECTED]
            assert not unexpected, unexpected
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            raise
        await reading


async def begin(service: str, environment: Mapping[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"services.{service}"),
        env=child_environment(environment),
        stderr=PIPE,
        limit=LINE_BYTES,
    )


async def refusal(service: str, environment: Mapping[str, str]) -> tuple[int, str]:
    """The status and the last words of a process that does not start."""
    process = await begin(service, environment)
    try:
        async with asyncio.timeout(START_SECONDS):
            _, words = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, words.decode()
