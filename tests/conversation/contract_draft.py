"""What a journal promises about what is written in it."""

import asyncio

from services.chassis.ids import is_id, new_id
from services.conversation.config import Config
from services.conversation.draft import Outcome, Turn
from services.conversation.journal import Journal
from services.conversation.writer import Writer
from tests.conversation.steps import a_turn, append, claimed, forget, lapse, redis, take_one, text_of


class DraftContract:
    """The fixtures `config` and `journal` say where it lives."""

    async def test_what_is_appended_is_read_from_any_offset(self, journal: Journal) -> None:
        turn = a_turn()
        draft = await claimed(journal, turn)
        for token, text in ((1, "Gr"), (2, "üß"), (3, "e 👋")):
            draft.add([token], text)
            assert await append(journal, draft) == [Outcome.OK]
        whole = "Grüße 👋".encode()
        assert [await text_of(journal, turn, offset) for offset in (0, 2, len(whole), 99)] == [
            whole,
            whole[2:],
            b"",
            b"",
        ]

    async def test_a_reply_of_a_million_bytes_comes_back_whole(self, journal: Journal) -> None:
        draft = await claimed(journal, a_turn())
        draft.add(range(100_000), "größer " * 130_000)
        await append(journal, draft)
        assert await text_of(journal, draft.turn) == bytes(draft.text)
        await lapse(journal, draft.turn)
        assert (await claimed(journal, draft.turn)).token_ids == list(range(100_000))

    async def test_an_empty_append_keeps_what_is_there(self, journal: Journal) -> None:
        draft = await claimed(journal, a_turn())
        draft.add([1, 2], "text")
        await append(journal, draft)
        assert await append(journal, draft) == [Outcome.OK]
        assert await text_of(journal, draft.turn) == b"text"

    async def test_an_append_whose_answer_was_lost_is_repeated_without_harm(self, journal: Journal) -> None:
        draft = await claimed(journal, a_turn())
        draft.add([1], "one ")
        await append(journal, draft)
        before = draft.written_tokens, draft.written_text
        draft.add([2], "two ")
        await append(journal, draft)
        draft.written_tokens, draft.written_text = before
        draft.add([3], "three")
        assert await append(journal, draft) == [Outcome.OK]
        assert await text_of(journal, draft.turn) == b"one two three"

    async def test_who_lost_the_turn_cannot_write(self, journal: Journal) -> None:
        turn = a_turn()
        draft = await claimed(journal, turn)
        await lapse(journal, turn)
        successor = await claimed(journal, turn)
        draft.add([1], "zombie")
        assert await append(journal, draft) == [Outcome.STALE]
        successor.add([2], "heir")
        assert await append(journal, successor) == [Outcome.OK]
        await journal.restore(draft)  # nor can it come back this way
        assert await text_of(journal, turn) == b"heir"

    async def test_two_conversations_may_use_one_reply_id(self, journal: Journal) -> None:
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

    async def test_a_runner_from_before_a_loss_never_shares_an_epoch_with_a_later_one(self, journal: Journal) -> None:
        turn = a_turn()
        await journal.enqueue(turn)
        draft = await claimed(journal, turn)
        await forget(journal, turn)
        await journal.enqueue(turn)
        successor = await claimed(journal, turn)
        draft.add([1], "A")
        successor.add([2], "B")
        assert await append(journal, draft) == [Outcome.STALE]
        assert await append(journal, successor) == [Outcome.OK]

    async def test_a_claim_that_was_lost_is_made_known_again_by_who_has_it(self, journal: Journal) -> None:
        turn = a_turn()
        draft = await claimed(journal, turn)
        draft.add([1], "one ")
        await append(journal, draft)
        await lapse(journal, turn)
        successor = await claimed(journal, turn)
        # As when a replica takes over that does not know of the second claim.
        await redis(journal, turn, "HSET", journal._keys.record(turn), "epoch", draft.epoch)
        successor.add([2], "two")
        assert await append(journal, successor) == [Outcome.GAP]
        await journal.restore(successor)
        assert await append(journal, successor) == [Outcome.OK]
        assert await append(journal, draft) == [Outcome.STALE]
        assert await text_of(journal, turn) == b"one two"

    async def test_the_end_is_kept_no_longer_than_it_should_be(self, journal: Journal) -> None:
        draft = await claimed(journal, a_turn())
        await journal.finish(draft.turn)
        await journal.finish(draft.turn)
        await append(journal, draft)
        kept = await redis(journal, draft.turn, "TTL", journal._keys.record(draft.turn))
        assert isinstance(kept, int)
        assert 0 < kept <= 600

    async def test_a_lost_journal_is_restored_from_the_draft(self, journal: Journal) -> None:
        turn = a_turn()
        draft = await claimed(journal, turn)
        draft.add([1, 2], "before ")
        await append(journal, draft)
        await forget(journal, turn)
        draft.add([3], "after")
        assert await append(journal, draft) == [Outcome.MISSING]
        await journal.restore(draft)
        assert await append(journal, draft) == [Outcome.OK]
        assert await text_of(journal, turn) == b"before after"
        await take_one(journal, turn)  # queued again, for the case that this runner dies, too

    async def test_a_journal_that_lost_its_tail_is_written_again(self, journal: Journal) -> None:
        draft = await claimed(journal, a_turn())
        draft.add([1, 2], "before ")
        await append(journal, draft)
        await redis(journal, draft.turn, "SET", journal._keys.text(draft.turn), "bef")
        draft.add([3], "after")
        assert await append(journal, draft) == [Outcome.GAP]
        await journal.restore(draft)
        assert await append(journal, draft) == [Outcome.OK]
        assert await text_of(journal, draft.turn) == b"before after"

    async def test_no_text_of_a_forgotten_conversation_stays(self, journal: Journal) -> None:
        ended, stranger = a_turn(), a_turn()
        going_on, unbegun = (Turn(new_id(), ended.conversation_id, "default", "ann") for _ in range(2))
        drafts = {turn: await claimed(journal, turn) for turn in (ended, going_on, stranger)}
        for draft in drafts.values():
            draft.add([1], "text")
            await append(journal, draft)
        await journal.finish(ended)
        await journal.enqueue(unbegun)
        for _ in range(2):
            await journal.forget(ended.conversation_id)
        for turn in (ended, going_on):
            names = (journal._keys.text(turn), journal._keys.tokens(turn))
            assert await redis(journal, turn, "EXISTS", *names) == 0
        assert await text_of(journal, stranger) == b"text"
        await take_one(journal, unbegun)
        assert await append(journal, drafts[going_on]) == [Outcome.GAP]
        await journal.restore(drafts[going_on])
        assert await append(journal, drafts[going_on]) == [Outcome.OK]

    async def test_which_replies_ended_is_kept_no_longer_than_they_are(self, journal: Journal) -> None:
        old = a_turn()
        new = Turn(new_id(), old.conversation_id, "default", "ann")
        name = journal._keys.ended_in(old.conversation_id)
        for turn in (old, new):
            await claimed(journal, turn)
            await journal.finish(turn)
            await redis(journal, old, "ZADD", name, "XX", "INCR", -700_000, old.reply_id)
        await journal.finish(new)
        assert await redis(journal, old, "ZRANGE", name, 0, -1) == [new.reply_id.encode()]
        kept = await redis(journal, old, "TTL", name)
        assert isinstance(kept, int)
        assert 0 < kept <= 600

    async def test_another_account_reads_nothing(self, journal: Journal) -> None:
        turn = a_turn("ann")
        draft = await claimed(journal, turn)
        draft.add([1], "secret")
        await append(journal, draft)
        thief = Turn(turn.reply_id, turn.conversation_id, "default", "bob")
        [reading] = await journal.read([(thief, 0)])
        assert (reading.known, reading.text) == (False, b"")

    async def test_the_writer_writes_many_drafts_and_keeps_their_leases(self, journal: Journal, config: Config) -> None:
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
                await asyncio.sleep(2 * config.lease_seconds)  # the test is that time passes
                assert await journal.claim(idle.turn) is None
        running.cancel()
