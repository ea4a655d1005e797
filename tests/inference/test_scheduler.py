"""Who runs in the next step, who waits, and who makes room."""

from collections import Counter

from services.inference.blocks import BLOCK_TOKENS
from services.inference.engine import Priority
from services.inference.generation import Generation
from services.inference.scheduler import RETELL_SECONDS, Scheduler
from services.inference.standing import Backlog
from tests.inference.scheduled import advance, generation


def add(scheduler: Scheduler, *generations: Generation) -> None:
    for each in generations:
        scheduler.add(each)


def run_out(scheduler: Scheduler) -> None:
    while scheduler.running or scheduler.waiting:
        assert advance(scheduler)


def test_a_long_prompt_comes_in_parts_beside_a_running_reply() -> None:
    scheduler = Scheduler(slots=2, cache_tokens=320, prefill_tokens=16)
    short, long = generation(3), generation(40)
    add(scheduler, short)
    assert advance(scheduler) == [(short, 0, 3)]
    add(scheduler, long)
    assert advance(scheduler) == [(short, 3, 1), (long, 0, 16)]
    assert advance(scheduler) == [(short, 4, 1), (long, 16, 16)]
    assert advance(scheduler) == [(short, 5, 1), (long, 32, 8)]
    assert advance(scheduler) == [(short, 6, 1), (long, 40, 1)]


def test_prompts_share_a_step_first_come_first_served() -> None:
    scheduler = Scheduler(slots=3, cache_tokens=320, prefill_tokens=16)
    one, two, three = (generation(10) for _ in range(3))
    add(scheduler, one, two, three)
    assert advance(scheduler) == [(one, 0, 10), (two, 0, 6)]
    assert advance(scheduler) == [(one, 10, 1), (two, 6, 4), (three, 0, 10)]


def test_emitted_tokens_are_computed_with_the_prompt() -> None:
    scheduler = Scheduler(slots=1, cache_tokens=320, prefill_tokens=16)
    continued = generation(range(10), emitted=4)
    add(scheduler, continued)
    assert advance(scheduler) == [(continued, 0, 14)]
    assert continued.tokens(8, 14) == [8, 9, 1, 1, 1, 1]
    assert advance(scheduler) == [(continued, 14, 1)]


def test_one_that_does_not_fit_yet_waits_and_keeps_its_turn() -> None:
    scheduler = Scheduler(slots=3, cache_tokens=4 * BLOCK_TOKENS, prefill_tokens=16)
    first, large, small = generation(40), generation(60), generation(2)
    add(scheduler, first, large, small)
    scheduler.admit()
    assert scheduler.running == [first]
    assert [(each, queued.position) for each, queued in scheduler.moved()] == [(large, 0), (small, 1)]
    assert scheduler.moved() == []
    assert scheduler.remove(first)
    assert not scheduler.remove(first)
    scheduler.admit()
    assert scheduler.running == [large]
    assert [(each, queued.position) for each, queued in scheduler.moved()] == [(small, 0)]


def test_a_table_grows_as_its_reply_does() -> None:
    scheduler = Scheduler(slots=1, cache_tokens=8 * BLOCK_TOKENS, prefill_tokens=64)
    only = generation(BLOCK_TOKENS - 1, tokens=100)
    add(scheduler, only)
    advance(scheduler)
    assert len(only.blocks) == 1
    advance(scheduler)
    advance(scheduler)
    assert len(only.blocks) == 2
    for _ in range(BLOCK_TOKENS):
        advance(scheduler)
    assert len(only.blocks) == 3
    run_out(scheduler)
    assert len(only.reply.tokens) == 100


def test_out_of_memory_the_last_that_joined_makes_room_and_goes_on_later() -> None:
    scheduler = Scheduler(slots=2, cache_tokens=6 * BLOCK_TOKENS, prefill_tokens=64)
    first, last = generation(40, tokens=100), generation(20, tokens=100)
    add(scheduler, first, last)
    while last in scheduler.running or not last.reply.tokens:
        assert advance(scheduler)
    paused = len(last.reply.tokens)
    assert (last.blocks, last.cached, scheduler.running) == ([], 0, [first])
    assert [(each, queued.position) for each, queued in scheduler.moved()] == [(last, 0)]
    run_out(scheduler)
    assert 0 < paused < 100
    assert len(first.reply.tokens) == len(last.reply.tokens) == 100


def test_one_that_made_room_is_the_next_of_its_tenant() -> None:
    scheduler = Scheduler(slots=2, cache_tokens=4 * BLOCK_TOKENS, prefill_tokens=64)
    first, last, newcomer = generation(30, tokens=60), generation(20, tokens=60), generation(1, tokens=1)
    add(scheduler, first, last)
    while not last.preempted:
        advance(scheduler)
    add(scheduler, newcomer)
    assert list(scheduler.waiting.order()) == [last, newcomer]
    run_out(scheduler)


def test_so_many_steps_lie_between_one_that_joins_and_one_that_makes_room() -> None:
    scheduler = Scheduler(slots=8, cache_tokens=12 * BLOCK_TOKENS, prefill_tokens=512)
    add(scheduler, *(generation(5 + 9 * number, tokens=200) for number in range(8)))
    joined = step = 0
    waited = len(scheduler.waiting)
    made_room = 0
    while scheduler.running or scheduler.waiting:
        if scheduler.admit():
            joined = step
        waited = len(scheduler.waiting)
        advance(scheduler)
        if len(scheduler.waiting) > waited:
            made_room += 1
            assert step - joined >= BLOCK_TOKENS
        step += 1
    assert made_room


def test_batch_ones_yield_their_slots_and_their_memory() -> None:
    scheduler = Scheduler(slots=2, cache_tokens=7 * BLOCK_TOKENS, prefill_tokens=64)
    batch = [generation(20, tokens=60, priority=Priority.BATCH) for _ in range(3)]
    add(scheduler, *batch)
    for _ in range(3):
        advance(scheduler)
    assert scheduler.running == batch[:2]
    interactive = generation(20)
    add(scheduler, interactive)
    advance(scheduler)
    assert scheduler.running == [batch[0], interactive]
    assert list(scheduler.waiting.order()) == [batch[1], batch[2]]
    large = generation(4 * BLOCK_TOKENS)
    add(scheduler, large)
    advance(scheduler)
    assert scheduler.running == [interactive, large]
    run_out(scheduler)
    assert all(len(each.reply.tokens) == 60 for each in batch)


def test_tenants_get_like_shares_however_much_they_ask_for() -> None:
    scheduler = Scheduler(slots=2, cache_tokens=64 * BLOCK_TOKENS, prefill_tokens=64)
    add(scheduler, *(generation(30, tokens=20, tenant="greedy") for _ in range(60)))
    for _ in range(10):
        advance(scheduler)
    add(scheduler, *(generation(30, tokens=20, tenant="modest") for _ in range(10)))
    given: Counter[str] = Counter()
    while any(each.tenant == "modest" for each in (*scheduler.waiting.order(), *scheduler.running)):
        for each, _, count in advance(scheduler):
            given[each.tenant] += count
    assert abs(given["greedy"] - given["modest"]) < 0.25 * given["modest"]


def test_a_long_prompt_of_one_tenant_leaves_room_for_another() -> None:
    scheduler = Scheduler(slots=2, cache_tokens=64 * BLOCK_TOKENS, prefill_tokens=64)
    long, short = generation(1000, tenant="a"), generation(50, tenant="b")
    add(scheduler, long)
    for _ in range(4):
        advance(scheduler)
    add(scheduler, short)
    steps = 0
    while not short.reply.tokens:
        advance(scheduler)
        steps += 1
    assert steps <= 2
    assert not long.reply.tokens


def test_who_was_idle_gets_no_credit_for_it() -> None:
    scheduler = Scheduler(slots=1, cache_tokens=64 * BLOCK_TOKENS, prefill_tokens=64)
    add(scheduler, *(generation(50, tenant="busy") for _ in range(20)))
    for _ in range(100):
        advance(scheduler)
    add(scheduler, *(generation(50, tenant="idle") for _ in range(8)))
    order = [each.tenant for each in scheduler.waiting.order()]
    assert 3 <= order[:8].count("idle") <= 5


def test_its_standing_counts_what_waits_for_whom() -> None:
    scheduler = Scheduler(slots=2, cache_tokens=10 * BLOCK_TOKENS, prefill_tokens=16)
    add(scheduler, generation(8, tenant="a"), generation(40, tenant="b"), generation(30, tenant="b"))
    advance(scheduler)
    standing = scheduler.standing()
    assert (standing.taken, standing.running) == (3, 2)
    assert standing.cached_tokens == 3 * BLOCK_TOKENS
    assert standing.backlogs == {(Priority.INTERACTIVE, "b"): Backlog(1, 62)}
    run_out(scheduler)
    assert scheduler.standing().cached_tokens == 0
    assert scheduler.standing().backlogs == {}


def test_those_that_wait_are_told_again_at_times() -> None:
    scheduler = Scheduler(slots=1, cache_tokens=10 * BLOCK_TOKENS, prefill_tokens=16)
    add(scheduler, *(generation(8) for _ in range(3)))
    scheduler.admit()
    assert len(scheduler.moved()) == 2
    assert scheduler.moved() == []
    scheduler._told -= RETELL_SECONDS + 1
    assert [queued.position for _, queued in scheduler.moved()] == [0, 1]
    assert scheduler.moved() == []
