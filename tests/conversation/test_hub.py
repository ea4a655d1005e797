"""What watchers of replies are told, on a real journal, with a history that does as each test wants."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest

from parley.history.v1 import history_service_pb2 as history_pb
from services.chassis.errors import DomainError, Reason
from services.conversation.config import Config
from services.conversation.draft import Draft, Outcome
from services.conversation.feed import Feeds
from services.conversation.hub import Hub
from services.conversation.journal import Journal
from services.conversation.peers import History
from services.conversation.writer import Writer
from tests.conversation.cluster import Cluster
from tests.conversation.steps import a_config, a_turn, append, claimed, forget, opened, redis, take_one
from tests.conversation.watching import Rows, Watcher, running
from tests.valkey import Valkey


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
async def hub(journal: Journal, config: Config, rows: Rows) -> AsyncIterator[Hub]:
    async with running(journal, config, rows) as hub:
        yield hub


async def write(journal: Journal, draft: Draft, text: str) -> None:
    """As its runner does."""
    draft.add([draft.token_count], text)
    while await append(journal, draft) != [Outcome.OK]:
        await journal.restore(draft)  # a server that was killed may not know the last writes


async def test_all_who_watch_a_reply_see_it_grow_and_end(journal: Journal, rows: Rows, hub: Hub) -> None:
    turn = a_turn()
    rows.ask(turn)
    draft = await claimed(journal, turn)
    early = Watcher(hub, turn)
    await write(journal, draft, "one ")
    await early.sees("one ")
    late = Watcher(hub, turn)
    await write(journal, draft, "two")
    for watcher in (early, late):
        await watcher.sees("one two")
    rows.end(turn, "one two")
    await journal.finish(turn)
    for watcher in (early, late):
        assert (await watcher.is_over()).ended == rows.messages[turn.reply_id]
        watcher.leave()
    assert hub._followed == {}


async def test_the_end_of_a_reply_that_was_written_here_is_not_looked_for(
    journal: Journal, rows: Rows, hub: Hub
) -> None:
    turn = a_turn()
    rows.ask(turn)
    draft = await claimed(journal, turn)
    theirs = replace(turn, account_id="eve")
    mine, spy = Watcher(hub, turn), Watcher(hub, theirs)
    await write(journal, draft, "one ")
    await mine.sees("one ")
    rows.open.clear()
    rows.end(turn, "one two")
    hub.end(turn, rows.messages[turn.reply_id])
    assert (await mine.is_over()).text == b"one two"
    assert spy.followed.ended is None, "it is told to whom it belongs"
    mine.leave()
    spy.leave()


async def test_a_place_in_the_queue_is_told(journal: Journal, rows: Rows, hub: Hub) -> None:
    turn = a_turn()
    rows.ask(turn)
    draft = await claimed(journal, turn)
    watcher = Watcher(hub, turn)
    draft.queue_position = 3
    await append(journal, draft)
    await watcher.until(lambda: watcher.followed.queue_position == 3)
    watcher.leave()


async def test_news_that_were_lost_are_made_up_for(journal: Journal, rows: Rows, hub: Hub) -> None:
    turn = a_turn()
    rows.ask(turn)
    draft = await claimed(journal, turn)
    watcher = Watcher(hub, turn)
    await write(journal, draft, "told ")
    await watcher.sees("told ")
    await redis(journal, turn, "APPEND", journal._keys.text(turn), "in silence")
    await watcher.sees("told in silence")
    watcher.leave()


async def test_a_reply_that_the_journal_lost_is_queued_again(journal: Journal, rows: Rows, hub: Hub) -> None:
    turn = a_turn()
    rows.ask(turn)
    await journal.enqueue(turn)
    await forget(journal, turn)
    watcher = Watcher(hub, turn)
    await take_one(journal, turn)
    watcher.leave()


async def test_a_reply_that_ended_before_anybody_watched_comes_from_history(
    journal: Journal, rows: Rows, hub: Hub
) -> None:
    turn = a_turn()
    rows.ask(turn)
    rows.end(turn, "long ago")
    async with asyncio.timeout(10):
        message = await hub.wait(turn)
    assert message.text == "long ago"
    assert await journal.running(turn.conversation_id) == []


async def test_what_nobody_has_is_not_found(rows: Rows, hub: Hub) -> None:
    for failures in ([], [DomainError(Reason.PERMISSION_DENIED, "no")]):
        rows.failures = failures
        async with asyncio.timeout(10):
            with pytest.raises(DomainError) as failed:
                await hub.wait(a_turn())
        assert failed.value.reason is Reason.NOT_FOUND


async def test_a_history_that_is_away_is_asked_again(rows: Rows, hub: Hub) -> None:
    turn = a_turn()
    rows.ask(turn)
    rows.end(turn, "in the end")
    rows.failures = [DomainError(Reason.UNAVAILABLE, "away")]
    async with asyncio.timeout(10):
        assert (await hub.wait(turn)).text == "in the end"


async def test_a_reply_ends_although_the_journal_is_away(server: Valkey, rows: Rows, hub: Hub) -> None:
    turn = a_turn()
    rows.ask(turn)
    rows.end(turn, "stored")
    await server.kill()
    async with asyncio.timeout(10):
        assert (await hub.wait(turn)).text == "stored"


async def test_watching_goes_on_when_the_journal_is_back(
    journal: Journal, server: Valkey, rows: Rows, hub: Hub
) -> None:
    turn = a_turn()
    rows.ask(turn)
    draft = await claimed(journal, turn)
    watcher = Watcher(hub, turn)
    await write(journal, draft, "before ")
    await watcher.sees("before ")
    await server.kill()
    await server.start()
    await write(journal, draft, "after")
    await watcher.sees("before after")
    watcher.leave()


async def test_a_slow_history_holds_up_nobody_else(journal: Journal, rows: Rows, hub: Hub) -> None:
    rows.open.clear()
    unknown = Watcher(hub, a_turn())
    await rows.asked.wait()
    turn = a_turn()
    draft = await claimed(journal, turn)
    watcher = Watcher(hub, turn)
    await write(journal, draft, "at once")
    await watcher.sees("at once")
    for each in (unknown, watcher):
        each.leave()


async def test_what_was_read_late_does_not_change_a_text_that_is_stored(journal: Journal, rows: Rows, hub: Hub) -> None:
    turn = a_turn()
    rows.ask(turn)
    draft = await claimed(journal, turn)
    await write(journal, draft, "all of it")
    watcher = Watcher(hub, turn)
    reading = asyncio.create_task(hub._read_batch([watcher.followed], asyncio.TaskGroup()))
    await asyncio.sleep(0)  # it has begun
    watcher.followed.end(history_pb.Message(text="all of it"))
    await reading
    assert watcher.followed.text == b"all of it"
    watcher.leave()


async def test_whoever_asks_to_stop_reaches_the_draft_here(journal: Journal, config: Config, rows: Rows) -> None:
    turn = a_turn()
    writer = Writer(journal, config)
    hub = Hub(journal, cast("History", rows), writer, Feeds(), config)
    task = asyncio.create_task(hub.run())
    draft = await claimed(journal, turn)
    async with asyncio.timeout(10), writer.writing(draft):
        while not draft.cancelled.is_set():
            await journal.cancel(turn)
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_node_that_hangs_holds_up_no_watcher_of_another(cluster: Cluster, rows: Rows) -> None:
    config = a_config(cluster.url, redis_cluster=True, poll_seconds=0.2)
    async with opened(config) as journal, running(journal, config, rows) as hub:
        await journal.check()
        homes = [await cluster.primary_of(slot) for slot in journal._keys.slots]
        drafts = [await claimed(journal, a_turn()) for _ in range(12)]
        watchers = [Watcher(hub, draft.turn) for draft in drafts]
        with homes[0].stopped():
            async with asyncio.timeout(2.5):
                for draft, watcher in zip(drafts, watchers, strict=True):
                    if homes[journal.shard(draft.turn.conversation_id)] is not homes[0]:
                        await write(journal, draft, "at once")
                        await watcher.sees("at once")
        for watcher in watchers:
            watcher.leave()
