"""What was computed before is found again, by its own tenant alone."""

from services.inference.blocks import BLOCK_TOKENS, Blocks
from services.inference.generation import Generation
from services.inference.scheduler import Scheduler
from tests.inference.scheduled import WORD, advance, compute, generation

TALK = range(1000, 1000 + 5 * BLOCK_TOKENS)


def scheduler(slots: int = 2, blocks: int = 16) -> Scheduler:
    return Scheduler(slots, cache_tokens=blocks * BLOCK_TOKENS, prefill_tokens=1024)


def run(where: Scheduler, *generations: Generation) -> None:
    """Runs generations to their end."""
    for each in generations:
        where.add(each)
    while where.running or where.waiting:
        advance(where)


def test_a_prompt_that_comes_again_is_found_but_for_its_last_token() -> None:
    where = scheduler()
    first, again = generation(TALK), generation(TALK)
    run(where, first, again)
    assert (first.cached_prompt_tokens, again.cached_prompt_tokens) == (0, 0), "they ran side by side"
    late = generation(TALK)
    where.add(late)
    assert advance(where) == [(late, 4 * BLOCK_TOKENS, BLOCK_TOKENS)]
    assert late.cached_prompt_tokens == 4 * BLOCK_TOKENS


def test_a_second_turn_computes_only_what_is_new() -> None:
    where = scheduler()
    first = generation(TALK[:50], tokens=80)
    run(where, first)
    known = (50 + 79) // BLOCK_TOKENS * BLOCK_TOKENS
    second = generation([*TALK[:50], *[WORD] * 80, 7, 8, 9])
    where.add(second)
    assert advance(where) == [(second, known, 133 - known)]
    assert second.cached_prompt_tokens == known


def test_those_that_begin_alike_share_blocks_while_they_run() -> None:
    where = scheduler(slots=3)
    one = generation(TALK)
    where.add(one)
    advance(where)
    others = [generation([*TALK, 5]), generation([*TALK[:70], 6])]
    for each in others:
        where.add(each)
    advance(where)
    assert others[0].blocks[:5] == one.blocks[:5]
    assert others[1].blocks[:2] == one.blocks[:2]
    assert not {*others[1].blocks[2:]} & {*one.blocks, *others[0].blocks}
    assert where.remove(one)
    advance(where)
    where.check()


def test_nobody_finds_what_is_anothers() -> None:
    where = scheduler()
    run(where, generation(TALK, tenant="a"))
    strangers = generation(TALK, tenant="b")
    run(where, strangers)
    assert strangers.cached_prompt_tokens == 0
    for tenant in "ab":
        own = generation(TALK, tenant=tenant)
        run(where, own)
        assert own.cached_prompt_tokens == 4 * BLOCK_TOKENS


def test_the_same_tokens_after_others_are_not_the_same() -> None:
    where = scheduler()
    run(where, generation(TALK))
    shifted = generation(TALK[BLOCK_TOKENS:])
    changed = generation([7, *TALK[1:]])
    run(where, shifted, changed)
    assert shifted.cached_prompt_tokens == changed.cached_prompt_tokens == 0


def test_two_servers_name_the_same_talk_differently() -> None:
    made = [generation(TALK), generation(TALK)]
    for each in made:
        run(scheduler(), each)
    assert not {*made[0].keys} & {*made[1].keys}


def test_the_longest_unused_makes_room_first_and_its_end_before_its_beginning() -> None:
    where = scheduler(blocks=8)
    old, new = generation(TALK[: 3 * BLOCK_TOKENS]), generation(range(3 * BLOCK_TOKENS))
    run(where, old)
    run(where, new)
    run(where, generation(2 * BLOCK_TOKENS, tokens=40))
    still, kept = generation(TALK[: 3 * BLOCK_TOKENS]), generation(range(3 * BLOCK_TOKENS))
    where.add(still)
    where.add(kept)
    assert (still.pending, kept.pending) == (2 * BLOCK_TOKENS, BLOCK_TOKENS)


def test_one_that_had_to_make_room_finds_what_is_left_of_it() -> None:
    where = scheduler(blocks=6)
    first, last = generation(40, tokens=100), generation(20, tokens=100)
    where.add(first)
    where.add(last)
    while not last.preempted:
        advance(where)
    assert last.pending < last.length
    where.remove(first)
    ((again, start, _),) = advance(where)
    assert (again, last.cached_prompt_tokens) == (last, 0)
    assert start > 0


def test_nothing_of_a_spoilt_one_is_found() -> None:
    where = scheduler()
    spoilt = generation(TALK)
    where.add(spoilt)
    advance(where)
    where.discard(spoilt)
    again = generation(TALK)
    run(where, again)
    assert again.cached_prompt_tokens == 0
    where.check()


def test_nothing_is_found_after_a_step_that_broke() -> None:
    where = scheduler()
    run(where, generation(range(100)))
    broken = generation(TALK)
    where.add(broken)
    where.admit()
    compute(where, where.schedule())
    assert where.break_all() == [broken]
    after = [generation(TALK), generation(range(100))]
    run(where, *after)
    assert [each.cached_prompt_tokens for each in after] == [0, 0]
    where.check()


def test_blocks_are_lent_kept_and_taken_again() -> None:
    blocks = Blocks(2)
    one, two = blocks.take(), blocks.take()
    assert (one, two, blocks.take()) == (0, 1, None)
    blocks.name(0, b"zero")
    blocks.name(1, b"zero")
    assert blocks.find(b"zero") == 0
    blocks.hold(0)
    blocks.give(0)
    assert blocks.available == 0
    blocks.give(0)
    blocks.give(1)
    assert (blocks.available, blocks.held, blocks.find(b"zero")) == (2, 0, 0)
    assert (blocks.take(), blocks.find(b"zero")) == (1, 0)
    assert (blocks.take(), blocks.find(b"zero")) == (0, None)
    blocks.check([[0], [1]])
