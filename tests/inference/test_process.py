"""The service as a process: ready when its model is, and plain words when it has none."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.config import child_environment
from tests.inference.serving import TIMEOUT

PEERS = {"PARLEY_AUTH_ADDRESS": "127.0.0.1:1", "PARLEY_SERVICE_SECRET": "0123456789abcdef"}


async def begin(**settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.inference",
        env=child_environment(settings),
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )


async def entry(process: asyncio.subprocess.Process, message: str) -> dict[str, object]:
    """The process's next log line with this message."""
    assert process.stderr is not None
    async with asyncio.timeout(TIMEOUT):
        while line := await process.stderr.readline():
            read: dict[str, object] = json.loads(line)
            if read["message"] == message:
                return read
    raise AssertionError(f"{message!r} was never said")


@pytest.mark.parametrize("engine", ["fake", "torch"])
async def test_it_becomes_ready_and_ends_when_told(tiny_folder: Path, engine: str) -> None:
    process = await begin(PARLEY_ENGINE=engine, PARLEY_MODEL=str(tiny_folder), PARLEY_CACHE_TOKENS="4096", **PEERS)
    port = (await entry(process, "listening"))["port"]
    await entry(process, "ready")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        health = await stub.Check(
            health_pb2.HealthCheckRequest(service="parley.inference.v1.InferenceService"), timeout=TIMEOUT
        )
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    process.terminate()
    await entry(process, "stopped")
    assert await process.wait() == 0


async def test_a_model_that_is_missing_is_named(tmp_path: Path) -> None:
    process = await begin(PARLEY_MODEL=str(tmp_path), **PEERS)
    assert str(tmp_path / "config.json") in str((await entry(process, "the model cannot be used"))["why"])
    assert await process.wait() == 2


async def test_all_that_is_wrong_with_its_settings_is_named() -> None:
    process = await begin(PARLEY_ENGINE="magic", PARLEY_SLOTS="0")
    _, said = await process.communicate()
    assert process.returncode == 2
    assert {line.split(b":")[0] for line in said.splitlines()} == {
        b"PARLEY_AUTH_ADDRESS",
        b"PARLEY_SERVICE_SECRET",
        b"PARLEY_ENGINE",
        b"PARLEY_SLOTS",
    }
