"""Who runs in the next step, and where in the cache."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.extents import Extents
from services.inference.generation import Generation
from services.inference.reply import Reply
from services.inference.scheduler import Scheduler
from tests.inference.generations import parameters


def generation(prompt: int, tokens: int = 10) -> Generation:
    chosen = parameters(tokens=tokens)
    return Generation(tuple(range(prompt)), Reply([b"x"] * 100, {99}, chosen), chosen, sink=lambda _: None)


def advance(scheduler: Scheduler) -> list[tuple[Generation, int, int]]:
    """One step, in which each reply that can gets a token."""
    scheduler.admit()
    step = scheduler.schedule()
    taken = [(chunk.generation, chunk.start, chunk.count) for chunk in step]
    drawing = [chunk.generation for chunk in step if chunk.completes]
    for chunk in step:
        chunk.generation.cached += chunk.count
    for each in drawing:
        each.reply.extend([1])
    return taken


def test_a_long_prompt_comes_in_parts_beside_a_running_reply() -> None:
    scheduler = Scheduler(slots=2, cache_tokens=200, prefill_tokens=16)
    short, long = generation(3), generation(40)
    scheduler.add(short)
    assert advance(scheduler) == [(short, 0, 3)]
    scheduler.add(long)
    assert advance(scheduler) == [(short, 3, 1), (long, 0, 16)]
    assert advance(scheduler) == [(short, 4, 1), (long, 16, 16)]
    assert advance(scheduler) == [(short, 5, 1), (long, 32, 8)]
    assert advance(scheduler) == [(short, 6, 1), (long, 40, 1)]


def test_prompts_share_a_step_first_come_first_served() -> None:
    scheduler = Scheduler(slots=3, cache_tokens=200, prefill_tokens=16)
    one, two, three = (generation(10) for _ in range(3))
    for each in (one, two, three):
        scheduler.add(each)
    assert advance(scheduler) == [(one, 0, 10), (two, 0, 6)]
    assert advance(scheduler) == [(one, 10, 1), (two, 6, 4), (three, 0, 10)]


def test_emitted_tokens_are_computed_with_the_prompt() -> None:
    scheduler = Scheduler(slots=1, cache_tokens=200, prefill_tokens=16)
    continued = generation(10)
    continued.reply.extend([1, 2, 3, 4])
    scheduler.add(continued)
    assert advance(scheduler) == [(continued, 0, 14)]
    assert continued.tokens(8, 14) == [8, 9, 1, 2, 3, 4]
    assert advance(scheduler) == [(continued, 14, 1)]


def test_one_that_does_not_fit_yet_waits_and_keeps_its_turn() -> None:
    scheduler = Scheduler(slots=3, cache_tokens=50, prefill_tokens=16)
    first, large, small = generation(20, 11), generation(30, 11), generation(2, 2)
    for each in (first, large, small):
        scheduler.add(each)
    scheduler.admit()
    assert scheduler.running == [first]
    assert [(each, place) for each, place in scheduler.moved()] == [(large, 0), (small, 1)]
    assert scheduler.moved() == []
    assert scheduler.remove(first)
    assert not scheduler.remove(first)
    scheduler.admit()
    assert scheduler.running == [large, small]


def test_its_load_counts_what_the_cache_holds() -> None:
    scheduler = Scheduler(slots=2, cache_tokens=200, prefill_tokens=16)
    for _ in range(3):
        scheduler.add(generation(8))
    advance(scheduler)
    load = scheduler.load()
    assert (load.running, load.waiting, load.slots) == (2, 1, 2)
    assert (load.cached_tokens, load.cached_tokens_limit) == (16, 200)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 10)), max_size=60))
def test_shares_of_the_cache_never_overlap_and_all_come_back(asks: list[tuple[int, int]]) -> None:
    extents = Extents(100)
    lent: list[tuple[int, int]] = []
    for size, give_back in asks:
        start = extents.take(size)
        if start is None:
            holes = sorted([(0, 0), *lent, (100, 0)])
            assert all(b - (a + length) < size for (a, length), (b, _) in pairwise(holes))
        else:
            assert start >= 0
            assert start + size <= 100
            assert all(start + size <= other or other + length <= start for other, length in lent)
            lent.append((start, size))
        if give_back < len(lent):
            extents.give(*lent.pop(give_back))
    for start, size in lent:
        extents.give(start, size)
    assert extents.take(100) == 0


def test_what_was_not_lent_is_not_taken_back() -> None:
    extents = Extents(10)
    extents.take(4)
    with pytest.raises(AssertionError):
        extents.give(2, 5)
