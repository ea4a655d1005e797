"""transformers, in its two ways to serve several requests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from sys import executable
from typing import Any

from benchmarks.engine.child import Child, child
from benchmarks.engine.plan import CONTEXT_TOKENS
from benchmarks.engine.replies import Reply, from_json

BATCHING_TOKENS = 12
"""Continuous batching on a CPU takes about half a second for each token of one request."""


class Transformers:
    rounds = 1
    turns = False

    def __init__(self, name: str, engine: Child, about: dict[str, Any], most_tokens: int) -> None:
        self.name, self._engine, self.about, self.most_tokens = name, engine, about, most_tokens

    async def replies(self, prompts: Sequence[list[int]], tokens: int, *, reuse: bool = False) -> list[Reply]:
        del reuse
        return from_json(await self._engine.ask(prompts=prompts, tokens=tokens))


@asynccontextmanager
async def generate(folder: Path, slots: int, log: Path) -> AsyncIterator[Transformers]:
    """Batches of requests that begin and end together, padded on the left."""
    async with child(executable, "benchmarks.engine.transformers_engine", log, str(folder), "generate", str(slots)) as (
        engine,
        about,
    ):
        yield Transformers("transformers", engine, about, CONTEXT_TOKENS)


@asynccontextmanager
async def batching(folder: Path, slots: int, log: Path) -> AsyncIterator[Transformers]:
    """Its continuous batching."""
    async with child(executable, "benchmarks.engine.transformers_engine", log, str(folder), "batching", str(slots)) as (
        engine,
        about,
    ):
        yield Transformers("transformers batching", engine, about, BATCHING_TOKENS)
