"""Engines run in processes of their own, which answer questions: a line of JSON for a line of JSON."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.engine.replies import RefusedError

ROOT = Path(__file__).parents[2]
START_SECONDS = 180.0
END_SECONDS = 5.0
LINE_BYTES = 16 * 1024 * 1024

Answer = Callable[[dict[str, Any]], Awaitable[Any]]


class Child:
    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process, self._log = process, log
        self._asking = asyncio.Lock()

    async def read(self) -> Any:
        assert self._process.stdout
        line = await self._process.stdout.readline()
        if not line:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise RuntimeError(f"It ended: {' '.join(last)}")
        return json.loads(line)

    async def ask(self, **question: Any) -> Any:
        assert self._process.stdin
        async with self._asking:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            await self._process.stdin.drain()
            answer = await self.read()
            if "refused" in answer:
                raise RefusedError(answer["refused"])
            return answer["answer"]


@asynccontextmanager
async def child(python: str, module: str, log: Path, *arguments: str) -> AsyncIterator[tuple[Child, Any]]:
    """A process that runs as long as the block, and the first thing that it said. It also ends if this one dies."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            python,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            limit=LINE_BYTES,
        )
    try:
        started = Child(process, log)
        async with asyncio.timeout(START_SECONDS):
            ready = await started.read()
        yield started, ready
    finally:
        await asyncio.shield(_end(process))


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin
    process.stdin.close()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def say(words: Any) -> None:
    """What a child answers with."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


async def answer_all(answer: Answer) -> None:
    """A child's life: it answers until its input ends, and then ends at once, whatever else it does."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            say({"answer": await answer(json.loads(line))})
        except Exception as error:  # noqa: BLE001 - whoever asked shall know
            say({"refused": f"{type(error).__name__}: {error}"})
    os._exit(0)
