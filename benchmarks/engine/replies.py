"""Replies of an engine to prompts that it was given at once, and what they say about it."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    tokens: tuple[int, ...]
    times: tuple[float, ...]
    """When each came, in seconds since the prompts were given."""


@dataclass(frozen=True, slots=True)
class Decoding:
    requests: int
    tokens_per_second: float
    """Of all together, while all of them decode."""
    first: tuple[float, ...]
    """Seconds until the first token of each."""
    gaps: tuple[float, ...]
    """Seconds between one arrival of tokens and the next of the same reply."""


class RefusedError(Exception):
    """An engine does not take this, and may well take the next."""


class Peer(Protocol):
    """An engine under measurement."""

    name: str
    rounds: int
    """It takes part in so many: a slow one would take the time of all."""
    most_tokens: int
    """Of a reply; so, too."""
    turns: bool
    """It keeps what it computed of a prompt for the next one."""
    about: dict[str, Any]
    """`version`, `weights` (their format), `weight_bytes` that each token reads."""

    async def replies(self, prompts: Sequence[list[int]], tokens: int, *, reuse: bool = False) -> list[Reply]:
        """Gives it prompts at once and waits for the replies, `tokens` of each.

        `reuse` allows it to use what it has computed of earlier prompts. Raises RefusedError, or OSError or
        RuntimeError if it broke; what was asked is then cancelled.
        """


async def together(replies: Iterable[Coroutine[Any, Any, Reply]]) -> list[Reply]:
    """All of them, or the first error; then none goes on."""
    tasks = [asyncio.create_task(reply) for reply in replies]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def decoding(replies: Sequence[Reply]) -> Decoding:
    first = max(reply.times[0] for reply in replies)
    last = min(reply.times[-1] for reply in replies)
    decoded = sum(first < time <= last for reply in replies for time in reply.times)
    arrivals = [sorted(set(reply.times)) for reply in replies]
    return Decoding(
        len(replies),
        decoded / (last - first) if last > first else 0.0,
        tuple(reply.times[0] for reply in replies),
        tuple(later - earlier for times in arrivals for earlier, later in pairwise(times)),
    )


def prefill_rate(prompts: Sequence[list[int]], replies: Sequence[Reply]) -> float:
    """Tokens of prompts a second, all together."""
    return sum(map(len, prompts)) / max(reply.times[0] for reply in replies)


def to_json(replies: Sequence[Reply]) -> list[list[Any]]:
    return [[reply.tokens, reply.times] for reply in replies]


def from_json(replies: Sequence[Sequence[Any]]) -> list[Reply]:
    return [Reply(tuple(tokens), tuple(times)) for tokens, times in replies]
