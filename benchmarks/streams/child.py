"""Processes of the benchmark, which say lines of JSON."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.streams.client import Job

ROOT = Path(__file__).parents[2]
END_SECONDS = 10.0


class Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def said(self) -> Any:
        assert self._process.stdout
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("A process of the benchmark ended too early.")
        return json.loads(line)

    def go(self) -> None:
        assert self._process.stdin
        self._process.stdin.write(b"\n")


@asynccontextmanager
async def child(module: str, *arguments: str) -> AsyncIterator[Child]:
    """A process that runs as long as the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(END_SECONDS):
            await process.wait()


@asynccontextmanager
async def reading(job: Job) -> AsyncIterator[Child]:
    """The reading side, with all that it needs before it begins."""
    async with child("benchmarks.streams.client", json.dumps(asdict(job))) as client:
        assert (await client.said())["ready"]
        yield client
