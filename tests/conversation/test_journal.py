"""The journal's promises, on a real server."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import is_id, new_id
from services.conversation.config import Config
from services.conversation.draft import Draft, Outcome, Turn
from services.conversation.journal import Journal
from services.conversation.writer import Writer
from tests.valkey import Valkey


def a_turn(account_id: str = "ann") -> Turn:
    return Turn(new_id(), new_id(), "default", account_id)


async def claimed(journal: Journal, turn: Turn) -> Draft:
    claim = await journal.claim(turn)
    assert claim is not None
    return claim.draft


async def append(journal: Journal, *drafts: Draft) -> list[Outcome]:
    return await journal.append(journal.shard(drafts[0].turn.conversation_id), drafts)


async def text_of(journal: Journal, turn: Turn, offset: int = 0) -> bytes:
    [reading] = await journal.read([(turn, offset)])
    return reading.text


async def lapse(journal: Journal, turn: Turn) -> Draft:
    """Waits until the turn's lease has lapsed, and takes it over."""
    async with asyncio.timeout(5):
        while (claim := await journal.claim(turn)) is None:
            await asyncio.sleep(0.05)
    return claim.draft


async def take_one(journal: Journal, turn: Turn) -> Turn:
    shard = journal.shard(turn.conversation_id)
    async with asyncio.timeout(5):
        while not (taken := await journal.take(shard, 10)):
            pass
    assert taken == [turn]
    return taken[0]


async def test_a_turn_is_queued_once_and_taken_once(journal: Journal) -> None:
    turn = a_turn()
    await asyncio.gather(*(journal.enqueue(turn) for _ in range(5)))
    taken = await take_one(journal, turn)
    assert await journal.take(journal.shard(turn.conversation_id), 10) == []
    assert await journal.running(turn.conversation_id) == [turn.reply_id]
    await journal.finish(turn)
    await journal.done(taken)
    assert await journal.running(turn.conversation_id) == []


async def test_a_turn_that_was_not_done_is_taken_over_and_one_that_was_done_is_not(journal: Journal) -> None:
    turn = a_turn()
    await journal.enqueue(turn)
    taken = await take_one(journal, turn)
    shard = journal.shard(turn.conversation_id)
    async with asyncio.timeout(5):
        while not (found := await journal.take_over(shard)):
            await asyncio.sleep(0.05)
    assert found == [turn]
    await journal.done(taken)
    await asyncio.sleep(0.6)  # longer than a lease: what is not in the queue cannot be taken over
    assert await journal.take_over(shard) == []


async def test_a_full_queue_refuses(config: Config, server: Valkey) -> None:
    async with Redis.from_url(server.url) as redis:
        journal = Journal(redis, config.model_copy(update={"max_queued_turns": 2, "shards": 1}))
        await journal.enqueue(a_turn())
        await journal.enqueue(a_turn())
        with pytest.raises(DomainError) as refused:
            await journal.enqueue(a_turn())
        assert refused.value.reason is Reason.UNAVAILABLE


async def test_what_is_appended_is_read_from_any_offset(journal: Journal) -> None:
    turn = a_turn()
    draft = await claimed(journal, turn)
    for token, text in ((1, "Gr"), (2, "üß"), (3, "e 👋")):
        draft.add([token], text)
        assert await append(journal, draft) == [Outcome.OK]
    whole = "Grüße 👋".encode()
    assert [await text_of(journal, turn, offset) for offset in (0, 2, len(whole), 99)] == [whole, whole[2:], b"", b""]


async def test_an_empty_append_keeps_what_is_there(journal: Journal) -> None:
    draft = await claimed(journal, a_turn())
    draft.add([1, 2], "text")
    await append(journal, draft)
    assert await append(journal, draft) == [Outcome.OK]
    assert await text_of(journal, draft.turn) == b"text"


async def test_a_live_lease_keeps_others_out_and_a_lapsed_one_does_not(journal: Journal) -> None:
    turn = a_turn()
    draft = await claimed(journal, turn)
    draft.add([7, 70_000], "seven")
    await append(journal, draft)
    assert await journal.claim(turn) is None
    successor = await lapse(journal, turn)
    assert (successor.token_ids, bytes(successor.text)) == ([7, 70_000], b"seven")
    assert successor.epoch > draft.epoch


async def test_who_lost_the_turn_cannot_write(journal: Journal) -> None:
    turn = a_turn()
    draft = await claimed(journal, turn)
    successor = await lapse(journal, turn)
    draft.add([1], "zombie")
    assert await append(journal, draft) == [Outcome.STALE]
    successor.add([2], "heir")
    assert await append(journal, successor) == [Outcome.OK]
    assert await text_of(journal, turn) == b"heir"


async def test_two_conversations_may_use_one_reply_id(journal: Journal) -> None:
    one = a_turn()
    other = Turn(one.reply_id, new_id(), "default", "ann")
    assert one.turn_id != other.turn_id
    assert is_id(one.turn_id)
    draft = await claimed(journal, one)
    draft.add([1], "one")
    await append(journal, draft)
    await journal.enqueue(other)
    await take_one(journal, other)
    assert await text_of(journal, other) == b""


async def test_a_runner_from_before_a_loss_never_shares_an_epoch_with_a_later_one(
    journal: Journal, server: Valkey
) -> None:
    turn = a_turn()
    await journal.enqueue(turn)
    draft = await claimed(journal, turn)
    async with Redis.from_url(server.url) as redis:
        await redis.flushall()
    await journal.enqueue(turn)
    successor = await claimed(journal, turn)
    draft.add([1], "A")
    successor.add([2], "B")
    assert await append(journal, draft) == [Outcome.STALE]
    assert await append(journal, successor) == [Outcome.OK]


async def test_a_turn_that_is_handed_over_is_taken_at_once(journal: Journal) -> None:
    turn = a_turn()
    draft = await claimed(journal, turn)
    await journal.release(draft)
    successor = await journal.claim(turn)
    assert successor is not None
    assert successor.claims == 1
    await journal.release(draft)  # it is not his any more
    assert await journal.claim(turn) is None


async def test_a_dead_turn_is_found_behind_many_that_live(journal: Journal, config: Config) -> None:
    conversation_id = new_id()
    living = [Turn(new_id(), conversation_id, "default", "ann") for _ in range(300)]
    dead = Turn(new_id(), conversation_id, "default", "ann")
    shard = journal.shard(conversation_id)
    for turn in (*living, dead):
        await journal.enqueue(turn)
    while not await journal.take(shard, 1000):  # the first look makes the group of runners
        pass
    writer = Writer(journal, config)
    running = asyncio.create_task(writer.run())
    async with AsyncExitStack() as held:
        for turn in living:
            await held.enter_async_context(writer.writing(await claimed(journal, turn)))
        async with asyncio.timeout(10):
            while not (found := await journal.take_over(shard)):
                await asyncio.sleep(0.05)
        assert found == [dead]
    running.cancel()


async def test_the_end_is_kept_no_longer_than_it_should_be(journal: Journal, server: Valkey) -> None:
    draft = await claimed(journal, a_turn())
    await journal.finish(draft.turn)
    await append(journal, draft)
    async with Redis.from_url(server.url) as redis:
        [record] = await redis.keys("*:record:*")
        assert await redis.ttl(record) <= 600


async def test_claims_count_until_a_token_comes(journal: Journal) -> None:
    turn = a_turn()
    await claimed(journal, turn)
    draft = await lapse(journal, turn)
    draft.add([1], "progress")
    await append(journal, draft)
    async with asyncio.timeout(5):
        while (claim := await journal.claim(turn)) is None:
            await asyncio.sleep(0.05)
    assert claim.claims == 1


async def test_a_lost_journal_is_restored_from_the_draft(journal: Journal, server: Valkey) -> None:
    turn = a_turn()
    draft = await claimed(journal, turn)
    draft.add([1, 2], "before ")
    await append(journal, draft)
    async with Redis.from_url(server.url) as redis:
        await redis.flushall()
    draft.add([3], "after")
    assert await append(journal, draft) == [Outcome.MISSING]
    await journal.restore(draft)
    assert await append(journal, draft) == [Outcome.OK]
    assert await text_of(journal, turn) == b"before after"
    await take_one(journal, turn)  # queued again, for the case that this runner dies, too


async def test_a_journal_that_lost_its_tail_is_written_again(journal: Journal, server: Valkey) -> None:
    draft = await claimed(journal, a_turn())
    draft.add([1, 2], "before ")
    await append(journal, draft)
    async with Redis.from_url(server.url) as redis:
        for key in await redis.keys("*:text:*"):
            await redis.set(key, "bef")
    draft.add([3], "after")
    assert await append(journal, draft) == [Outcome.GAP]
    await journal.restore(draft)
    assert await append(journal, draft) == [Outcome.OK]
    assert await text_of(journal, draft.turn) == b"before after"


async def test_another_account_reads_nothing(journal: Journal) -> None:
    turn = a_turn("ann")
    draft = await claimed(journal, turn)
    draft.add([1], "secret")
    await append(journal, draft)
    thief = Turn(turn.reply_id, turn.conversation_id, "default", "bob")
    [reading] = await journal.read([(thief, 0)])
    assert (reading.known, reading.text) == (False, b"")


async def test_cancelling_reaches_the_writer_and_who_takes_the_turn_later(journal: Journal) -> None:
    running, waiting = a_turn(), a_turn()
    draft = await claimed(journal, running)
    await journal.cancel(running)
    assert await append(journal, draft) == [Outcome.CANCEL]
    await journal.cancel(waiting)
    assert (await claimed(journal, waiting)).cancelled.is_set()


async def test_news_name_what_changed_and_what_shall_stop(journal: Journal) -> None:
    turn = a_turn()
    async with journal.listen() as news:
        draft = await claimed(journal, turn)
        draft.add([1], "x")
        await append(journal, draft)
        await journal.cancel(turn)
        async with asyncio.timeout(5):
            assert (await anext(news)).changed == {turn.turn_id}
            assert (await anext(news)).cancelled == {turn.turn_id}


async def test_the_writer_writes_many_drafts_and_keeps_their_leases(journal: Journal, config: Config) -> None:
    writer = Writer(journal, config)
    drafts = [await claimed(journal, a_turn()) for _ in range(20)]
    running = asyncio.create_task(writer.run())
    async with asyncio.timeout(20):
        for draft in drafts:
            async with writer.writing(draft):
                for n in range(30):
                    draft.add([n], f"{n} ")
                    writer.changed(draft)
                await writer.flush(draft)
                assert await text_of(journal, draft.turn) == bytes(draft.text)
        idle = await claimed(journal, a_turn())
        async with writer.writing(idle):
            await asyncio.sleep(3 * config.lease_seconds)  # the test is that time passes
            assert await journal.claim(idle.turn) is None
    running.cancel()


async def test_drafts_wait_while_the_server_is_away(journal: Journal, config: Config, server: Valkey) -> None:
    writer = Writer(journal, config)
    draft = await claimed(journal, a_turn())
    running = asyncio.create_task(writer.run())
    async with asyncio.timeout(20), writer.writing(draft):
        await server.kill()
        draft.add([1], "held")
        writer.changed(draft)
        flushing = asyncio.create_task(writer.flush(draft))
        await server.start()
        await flushing
        assert await text_of(journal, draft.turn) == b"held"
    running.cancel()
