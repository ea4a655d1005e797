"""How fast the bundled model decodes, alone and in company: `python -m benchmarks.decode`."""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from services.inference.batch_engine import BatchEngine, Bounds, Loaded
from services.inference.bundled import MODEL_ID, convert_once
from services.inference.config import Config
from services.inference.engine import ChatMessage, Delta, Engine, Parameters, Request, Role
from services.inference.loading import load
from services.inference.outbox import follow

CONVERSATIONS = (1, 8, 16)
PROMPT = "Tell me a long story about the sea."


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement of so many conversations at once."""

    conversations: int
    tokens_per_second: float
    """Of all together, while all of them decode."""
    first_token_seconds: float
    """Until the last of them had its first token."""


async def measure(engine: Engine, conversations: int, tokens: int) -> Row:
    """Decodes up to `tokens` of each conversation."""
    began = time.perf_counter()
    arrivals = await asyncio.gather(*(_converse(engine, seed, tokens) for seed in range(conversations)))
    first = max(times[0] for times in arrivals)
    last = min(times[-1] for times in arrivals)
    decoded = sum(first < arrival <= last for times in arrivals for arrival in times)
    return Row(conversations, decoded / (last - first), first - began)


async def _converse(engine: Engine, seed: int, tokens: int) -> list[float]:
    """When each token came."""
    request = Request(MODEL_ID, (ChatMessage(Role.USER, PROMPT),), Parameters(0.8, 0.95, tokens, (), seed))
    times: list[float] = []
    async with aclosing(follow(engine, request)) as events:
        async for event in events:
            if isinstance(event, Delta):
                times += [time.perf_counter()] * len(event.token_ids)
    return times


async def rows(tokens: int = 64, rounds: int = 3, cache: Path | None = None) -> list[Row]:
    """The best of some rounds for each number of conversations: what else the machine does only ever slows it."""
    folder = convert_once(cache or Config.model_fields["cache"].default.expanduser())
    bounds = Bounds(slots=max(CONVERSATIONS), waiting=0, cache_tokens=32_768, prefill_tokens=64)

    def load_model() -> Loaded:
        return load(folder, device="cpu", threads=0, cache_tokens=bounds.cache_tokens, max_context_length=8192)

    engine = BatchEngine(MODEL_ID, load_model, bounds)
    task = asyncio.create_task(engine.run())
    await engine.wait_ready()
    try:
        best = []
        for conversations in CONVERSATIONS:
            measured = [await measure(engine, conversations, tokens) for _ in range(rounds)]
            best.append(max(measured, key=lambda row: row.tokens_per_second))
        return best
    finally:
        task.cancel()
        await asyncio.wait([task])


def table(measured: Sequence[Row]) -> Iterator[str]:
    yield "conversations   tokens/s   of one   first token"
    alone = measured[0].tokens_per_second
    for row in measured:
        ratio = row.tokens_per_second / alone
        yield f"{row.conversations:13}{row.tokens_per_second:11.1f}{ratio:8.1f}x{row.first_token_seconds:12.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=64, help="of each conversation")
    parser.add_argument("--rounds", type=int, default=3, help="of which the best counts")
    arguments = parser.parse_args()
    for line in table(asyncio.run(rows(arguments.tokens, arguments.rounds))):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
