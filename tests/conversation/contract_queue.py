"""What a journal promises about turns: who has one, and who hears of it."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.conversation.config import Config
from services.conversation.draft import Outcome, Turn
from services.conversation.journal import Journal, open_journal
from services.conversation.writer import Writer
from tests.conversation.steps import a_turn, append, claimed, lapse, redis, take_one, text_of


class QueueContract:
    """The fixtures `config` and `journal` say where it lives."""

    async def test_a_turn_is_queued_once_and_taken_once(self, journal: Journal) -> None:
        turn = a_turn()
        await asyncio.gather(*(journal.enqueue(turn) for _ in range(5)))
        taken = await take_one(journal, turn)
        assert await journal.take(journal.shard(turn.conversation_id), 10) == []
        assert await journal.running(turn.conversation_id) == [turn.reply_id]
        await journal.finish(turn)
        await journal.done(taken)
        assert await journal.running(turn.conversation_id) == []

    async def test_a_turn_that_was_not_done_is_taken_over_and_one_that_was_done_is_not(self, journal: Journal) -> None:
        turn = a_turn()
        await journal.enqueue(turn)
        taken = await take_one(journal, turn)
        shard = journal.shard(turn.conversation_id)
        async with asyncio.timeout(5):
            while not (found := await journal.take_over(shard)):
                await asyncio.sleep(0.05)
        assert found == [turn]
        await journal.done(taken)
        await journal.done(taken)
        assert await redis(journal, turn, "XLEN", journal._keys.turns(shard)) == 0
        assert await journal.take_over(shard) == []

    async def test_a_full_queue_refuses(self, config: Config) -> None:
        async with open_journal(config.model_copy(update={"max_queued_turns": 2, "shards": 1})) as journal:
            await journal.check()
            await journal.enqueue(a_turn())
            await journal.enqueue(a_turn())
            with pytest.raises(DomainError) as refused:
                await journal.enqueue(a_turn())
            assert refused.value.reason is Reason.UNAVAILABLE

    async def test_a_live_lease_keeps_others_out_and_a_lapsed_one_does_not(self, journal: Journal) -> None:
        turn = a_turn()
        draft = await claimed(journal, turn)
        draft.add([7, 70_000], "seven")
        await append(journal, draft)
        assert await journal.claim(turn) is None
        async with asyncio.timeout(5):
            while (claim := await journal.claim(turn)) is None:
                await asyncio.sleep(0.05)
        successor = claim.draft
        assert (successor.token_ids, bytes(successor.text)) == ([7, 70_000], b"seven")
        assert successor.epoch > draft.epoch

    async def test_of_many_who_claim_at_once_one_gets_the_turn(self, journal: Journal) -> None:
        turn = a_turn()
        claims = await asyncio.gather(*(journal.claim(turn) for _ in range(20)))
        assert sum(claim is not None for claim in claims) == 1

    async def test_a_turn_that_is_handed_over_is_taken_at_once(self, journal: Journal) -> None:
        turn = a_turn()
        draft = await claimed(journal, turn)
        await journal.release(draft)
        await journal.release(draft)
        successor = await journal.claim(turn)
        assert successor is not None
        assert successor.claims == 1
        await journal.release(draft)  # it is not his any more
        assert await journal.claim(turn) is None

    async def test_a_dead_turn_is_found_behind_many_that_live(self, journal: Journal, config: Config) -> None:
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

    async def test_claims_count_until_a_token_comes(self, journal: Journal) -> None:
        turn = a_turn()
        await claimed(journal, turn)
        await lapse(journal, turn)
        draft = await claimed(journal, turn)
        draft.add([1], "progress")
        await append(journal, draft)
        await lapse(journal, turn)
        claim = await journal.claim(turn)
        assert claim is not None
        assert claim.claims == 1

    async def test_no_epoch_comes_twice_although_a_claim_was_lost(self, journal: Journal) -> None:
        turn = a_turn()
        draft = await claimed(journal, turn)
        await lapse(journal, turn)
        forgotten = await claimed(journal, turn)
        await redis(journal, turn, "HSET", journal._keys.record(turn), "epoch", draft.epoch, "lease", 1)
        await asyncio.sleep(0.005)  # no server takes over sooner
        assert (await claimed(journal, turn)).epoch > forgotten.epoch

    async def test_cancelling_reaches_the_writer_and_who_takes_the_turn_later(self, journal: Journal) -> None:
        running, waiting = a_turn(), a_turn()
        draft = await claimed(journal, running)
        await journal.cancel(running)
        assert await append(journal, draft) == [Outcome.CANCEL]
        await journal.cancel(waiting)
        assert (await claimed(journal, waiting)).cancelled.is_set()

    async def test_news_name_what_changed_and_what_shall_stop(self, journal: Journal) -> None:
        turns = [a_turn() for _ in range(6)]  # of several shards
        async with asyncio.timeout(10), journal.listen() as news:
            for turn in turns:
                draft = await claimed(journal, turn)
                draft.add([1], "x")
                await append(journal, draft)
            changed = {name for _ in turns for name in (await anext(news)).changed}
            assert changed == {turn.turn_id for turn in turns}
            await journal.cancel(turns[0])
            assert (await anext(news)).cancelled == {turns[0].turn_id}

    async def test_journals_with_another_prefix_or_number_of_shards_do_not_meet(
        self, journal: Journal, config: Config
    ) -> None:
        draft = await claimed(journal, a_turn())
        for other in ({"redis_prefix": f"{config.redis_prefix}x"}, {"shards": config.shards + 1}):
            async with open_journal(config.model_copy(update=other)) as elsewhere:
                await elsewhere.check()
                [reading] = await elsewhere.read([(draft.turn, 0)])
                assert not reading.known
                assert await elsewhere.claim(draft.turn) is not None
        assert await append(journal, draft) == [Outcome.OK]

    async def test_nothing_is_done_before_a_check_has_passed(self, config: Config) -> None:
        async with open_journal(config) as journal:
            with pytest.raises(DomainError) as refused:
                await journal.enqueue(a_turn())
            assert refused.value.reason is Reason.UNAVAILABLE
            await journal.check()
            await journal.enqueue(a_turn())

    async def test_a_server_that_forgot_the_scripts_is_given_them_again(self, journal: Journal) -> None:
        draft = await claimed(journal, a_turn())
        await redis(journal, draft.turn, "SCRIPT", "FLUSH")
        draft.add([1], "still")
        assert await append(journal, draft) == [Outcome.OK]
        assert await text_of(journal, draft.turn) == b"still"
