"""What the journal costs: a hundred replies at once, on one Redis server and on a cluster of three, by shards.

    python -m benchmarks.journal

Prints the time of a tick, in which every reply grows by three tokens and is written, and of a read of what every reply
brought. Servers, journal and measurement share this machine; nothing is written to disk.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from services.conversation.config import Config
from services.conversation.draft import Draft, Turn
from services.conversation.journal import Journal, open_journal
from tests.conversation.cluster import Cluster, free_ports
from tests.conversation.steps import a_config, a_turn, claimed
from tests.valkey import valkey

REPLIES = 100
TICKS, WARM_UP = 300, 30
TOKENS, TEXT = (1, 2, 3), "three more tk "

Times = list[float]
"""Milliseconds."""


async def measure(journal: Journal) -> tuple[Times, Times]:
    drafts: dict[int, list[Draft]] = {}
    for _ in range(REPLIES):
        turn = a_turn()
        drafts.setdefault(journal.shard(turn.conversation_id), []).append(await claimed(journal, turn))
    appends, reads = [], []
    for _ in range(WARM_UP + TICKS):
        seen = {draft.turn: draft.written_text for shard in drafts.values() for draft in shard}
        for draft in (draft for shard in drafts.values() for draft in shard):
            draft.add(TOKENS, TEXT)
        started = time.perf_counter()
        await asyncio.gather(*(journal.append(shard, each) for shard, each in drafts.items()))
        appended = time.perf_counter()
        await asyncio.gather(*(journal.read(_wanted(each, seen)) for each in drafts.values()))
        appends.append((appended - started) * 1000)
        reads.append((time.perf_counter() - appended) * 1000)
    return appends[WARM_UP:], reads[WARM_UP:]


def _wanted(drafts: Sequence[Draft], seen: dict[Turn, int]) -> list[tuple[Turn, int]]:
    return [(draft.turn, seen[draft.turn]) for draft in drafts]


async def report(name: str, config: Config) -> None:
    async with open_journal(config) as journal:
        await journal.check()
        cells = [f"{statistics.median(times):5.2f} / {_p99(times):5.2f}" for times in await measure(journal)]
    print(f"| {name}, {config.shards} shard{'s' * (config.shards > 1)} | {' | '.join(cells)} |")


def _p99(times: Times) -> float:
    return sorted(times)[int(len(times) * 0.99) - 1]


async def main(folder: Path) -> None:
    print(f"{REPLIES} replies, {TICKS} ticks, milliseconds p50 / p99\n\n| Redis | append | read |\n|---|---|---|")
    [port] = free_ports(1)
    async with valkey(folder, "--port", str(port), "--appendonly", "no"):
        for shards in (1, 4, 8):
            await report("one server", a_config(f"redis://127.0.0.1:{port}", shards=shards))
    with Cluster(folder / "cluster") as cluster:
        await cluster.form()
        for shards in (1, 4, 8):
            await report("three nodes", a_config(cluster.url, redis_cluster=True, shards=shards))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as created:
        asyncio.run(main(Path(created)))
