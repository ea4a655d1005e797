"""The journal on a Redis Cluster, while its nodes die, hang, hand over and forget."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.chassis.errors import DomainError
from services.conversation.config import Config
from services.conversation.draft import Draft
from services.conversation.journal import Journal
from services.conversation.journal.cluster import Cluster as Nodes
from services.conversation.writer import Writer
from tests.conversation.cluster import Cluster
from tests.conversation.contract import JournalContract
from tests.conversation.steps import a_config, a_turn, claimed, text_of


class TestOnCluster(JournalContract):
    @pytest.fixture
    def config(self, cluster: Cluster) -> Config:
        return a_config(cluster.url, redis_cluster=True)


@pytest.fixture
def config(cluster: Cluster) -> Config:
    """A dead node is replaced before leases lapse, so that the drafts stay with who writes them."""
    return a_config(cluster.url, redis_cluster=True, lease_seconds=10)


class Author:
    """Writes drafts, a word at a time, until told to stop."""

    def __init__(self, writer: Writer, drafts: dict[int, Draft]) -> None:
        self.drafts, self._writer = drafts, writer
        """One for each shard."""
        self.longest = dict.fromkeys(drafts, 0.0)
        """Seconds that the journal took at most for a word, by shard."""
        self.stopped = asyncio.Event()

    async def write(self, shard: int) -> None:
        draft = self.drafts[shard]
        async with self._writer.writing(draft):
            while not self.stopped.is_set():
                draft.add([draft.token_count], f"{draft.token_count} ")
                started = time.monotonic()
                await self._writer.flush(draft)
                self.longest[shard] = max(self.longest[shard], time.monotonic() - started)

    async def words(self, count: int, *shards: int) -> None:
        """Returns when the drafts (of these shards) have so many more words."""
        drafts = [self.drafts[shard] for shard in shards or self.drafts]
        wanted = [draft.token_count + count for draft in drafts]
        while any(draft.token_count < least for draft, least in zip(drafts, wanted, strict=True)):
            await asyncio.sleep(0.02)


@asynccontextmanager
async def writing(journal: Journal, config: Config) -> AsyncIterator[Author]:
    """A draft in every shard is being written inside this block, and is whole in the journal after it."""
    drafts: dict[int, Draft] = {}
    while len(drafts) < len(journal.shards):
        turn = a_turn()
        if journal.shard(turn.conversation_id) not in drafts:
            drafts[journal.shard(turn.conversation_id)] = await claimed(journal, turn)
    writer = Writer(journal, config)
    author = Author(writer, drafts)
    running = asyncio.create_task(writer.run())
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for shard in drafts:
            tasks.create_task(author.write(shard))
        await author.words(5)
        author.longest = dict.fromkeys(drafts, 0.0)
        yield author
        await author.words(5)
        author.stopped.set()
    running.cancel()
    for draft in drafts.values():
        assert not draft.lost.is_set()
        assert await text_of(journal, draft.turn) == "".join(f"{n} " for n in range(draft.token_count)).encode()


def slot_of(journal: Journal, shard: int) -> int:
    return journal._keys.slots[shard]


async def test_drafts_go_on_when_a_primary_dies(journal: Journal, config: Config, cluster: Cluster) -> None:
    slot = slot_of(journal, 0)
    async with writing(journal, config):
        node = await cluster.primary_of(slot)
        node.kill()
        while await cluster.primary_of(slot) is node:
            await asyncio.sleep(0.05)


async def test_what_a_new_primary_does_not_know_is_written_again(
    journal: Journal, config: Config, cluster: Cluster
) -> None:
    slot = slot_of(journal, 0)
    async with writing(journal, config) as author:
        node, replica = await cluster.primary_of(slot), await cluster.replica_of(slot)
        with replica.stopped():
            await author.words(10)
            node.kill()
        while await cluster.primary_of(slot) is not replica:
            await asyncio.sleep(0.05)


async def test_drafts_go_on_when_a_primary_hands_over(journal: Journal, config: Config, cluster: Cluster) -> None:
    slot = slot_of(journal, 0)
    async with writing(journal, config):
        replica = await cluster.replica_of(slot)
        await replica.ask("CLUSTER", "FAILOVER")
        while await cluster.primary_of(slot) is not replica:
            await asyncio.sleep(0.05)


async def test_drafts_go_on_while_their_slot_moves_to_another_node(
    journal: Journal, config: Config, cluster: Cluster
) -> None:
    async with writing(journal, config) as author:
        async with cluster.moving(slot_of(journal, 0), slot_of(journal, 1)) as move:
            await author.words(3)
            await move()
            await author.words(3)
        await author.words(3)
        assert max(author.longest.values()) < 1, "a shard stalled"


async def test_a_node_that_hangs_stalls_no_other_shard(journal: Journal, config: Config, cluster: Cluster) -> None:
    homes = {shard: await cluster.primary_of(slot_of(journal, shard)) for shard in journal.shards}
    others = [shard for shard, node in homes.items() if node is not homes[0]]
    assert others
    async with writing(journal, config) as author:
        with homes[0].stopped():
            async with asyncio.timeout(5):
                await author.words(40, *others)
                await journal.check()
        assert max(author.longest[shard] for shard in others) < 1


async def test_a_cluster_that_was_emptied_is_written_again(journal: Journal, config: Config, cluster: Cluster) -> None:
    async with writing(journal, config) as author:
        for _ in range(3):
            await cluster.flush()
            await author.words(3)


async def test_news_come_from_another_node_when_the_one_that_told_them_dies(
    journal: Journal, config: Config, cluster: Cluster
) -> None:
    nodes = journal._servers
    assert isinstance(nodes, Nodes)

    async def hear() -> None:
        """Returns when there is news of every shard, wherever it must be asked for them."""
        wanted = {draft.turn.turn_id for draft in author.drafts.values()}
        while wanted:
            try:
                async with journal.listen() as news:
                    listening.set()
                    while wanted:
                        wanted -= (await anext(news)).changed
            except DomainError:
                await asyncio.sleep(0.05)

    async with writing(journal, config) as author:
        listening = asyncio.Event()
        hearing = asyncio.create_task(hear())
        await listening.wait()
        assert nodes._heard
        cluster.at(nodes._heard.port).kill()
        await hearing
