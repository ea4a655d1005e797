"""An engine says no in time, to those who ask too much, and says when to come again."""

from collections.abc import Mapping

import pytest

from services.chassis.errors import DomainError, Reason
from services.inference.admission import Admission, Bounds, Limits
from services.inference.engine import Priority
from services.inference.rates import Meter, Rates
from services.inference.standing import Backlog, Standing
from tests.inference.scheduled import generation

BATCH, INTERACTIVE = Priority.BATCH, Priority.INTERACTIVE


def admission(
    *, slots: int = 2, waiting: int = 8, limits: Limits | None = None, standing: Standing | None = None
) -> Admission:
    made = Admission(Bounds(slots, waiting, 4096, 64, limits or Limits()))
    made.update(standing or Standing())
    return made


def standing(
    backlogs: Mapping[str, Backlog], rates: Rates | None = None, priority: Priority = INTERACTIVE, running: int = 2
) -> Standing:
    return Standing(0, running, 0, {(priority, tenant): each for tenant, each in backlogs.items()}, rates or Rates())


def refused(where: Admission, tenant: str = "a", tokens: int = 10, priority: Priority = INTERACTIVE) -> float:
    """When a refused one shall come again."""
    with pytest.raises(DomainError) as error:
        where.require(tenant, priority, tokens)
    assert error.value.reason is Reason.ENGINE_OVERLOADED
    assert error.value.retry_after
    return error.value.retry_after


def test_places_are_bounded_for_all_and_for_each_tenant() -> None:
    where = admission()
    for _ in range(2 + 6):
        where.require("a", INTERACTIVE, 10)
        where.enter(generation(10, tenant="a"))
    refused(where, "a")
    for _ in range(2):
        where.require("b", INTERACTIVE, 10)
        where.enter(generation(10, tenant="b"))
    refused(where, "b")


def test_waiting_tokens_are_bounded_for_all_and_for_each_tenant() -> None:
    limits = Limits(pending_prompt_tokens=1000)
    where = admission(limits=limits, standing=standing({"a": Backlog(1, 700)}))
    refused(where, "a", 51)
    where.require("a", INTERACTIVE, 50)
    where.require("b", INTERACTIVE, 300)
    refused(where, "b", 301)
    admission(limits=limits).require("a", INTERACTIVE, 5000)


def test_those_that_were_sent_count_until_they_are_taken_in() -> None:
    where = admission(limits=Limits(pending_prompt_tokens=1000))
    for size in (400, 500):
        each = generation(size, tenant=str(size))
        where.enter(each)
        where.send(each)
    refused(where, "a", 101)
    assert (where.load().waiting, where.load().pending_prompt_tokens) == (2, 900)
    where.update(Standing(taken=1))
    where.require("a", INTERACTIVE, 500)
    refused(where, "a", 501)
    where.update(Standing(taken=2))
    assert where.load().pending_prompt_tokens == 0


def test_who_would_wait_too_long_is_refused_before() -> None:
    rates = Rates(prompt_token_seconds=0.01, turn_seconds=2)
    long_prompts = admission(standing=standing({"a": Backlog(0, 3001)}, rates))
    assert refused(long_prompts) == 2
    long_queue = admission(waiting=40, standing=standing({"a": Backlog(19, 0)}, rates))
    assert refused(long_queue) == 10
    admission(waiting=40, standing=standing({"a": Backlog(14, 2900)}, rates)).require("a", INTERACTIVE, 8000)


def test_who_comes_alone_is_taken_however_slow_the_engine_was() -> None:
    alone = admission(standing=standing({}, Rates(prompt_token_seconds=10, turn_seconds=900), running=0))
    alone.require("a", INTERACTIVE, 4000)


def test_another_tenants_queue_makes_nobody_wait_but_its_own() -> None:
    rates = Rates(prompt_token_seconds=0.01, turn_seconds=5)
    where = admission(waiting=100, standing=standing({"greedy": Backlog(50, 20_000)}, rates))
    refused(where, "greedy")
    where.require("modest", INTERACTIVE, 100)


def test_batch_ones_wait_for_all_and_nobody_interactive_for_them() -> None:
    rates = Rates(prompt_token_seconds=0.01)
    interactive = admission(standing=standing({"a": Backlog(5, 4000)}, rates))
    refused(interactive, "b", 10, BATCH)
    batch = admission(standing=standing({"a": Backlog(5, 4000)}, rates, priority=BATCH))
    batch.require("b", INTERACTIVE, 10)
    batch.require("a", INTERACTIVE, 10)


def test_its_load_says_how_long_a_newcomer_waits() -> None:
    rates = Rates(prompt_token_seconds=0.01, turn_seconds=2)
    load = admission(standing=standing({"a": Backlog(2, 100), "b": Backlog(1, 200)}, rates)).load()
    assert (load.running, load.pending_prompt_tokens, load.pending_prompt_tokens_limit) == (2, 300, 65_536)
    assert load.expected_wait == 8
    assert admission(standing=standing({}, rates, running=1)).load().expected_wait == 0


def test_steps_tell_how_fast_prompts_are_computed() -> None:
    meter = Meter(prefill_tokens=100)
    assert meter.rates(4) == Rates()
    for _ in range(50):
        meter.step(prompt_tokens=0, seconds=0.02)
        meter.step(prompt_tokens=10, seconds=0.03)
    # A step of 100 takes 0.02 for the replies and ten times 0.01.
    assert meter.rates(4).prompt_token_seconds == pytest.approx(0.12 / 100)
    for _ in range(200):
        meter.step(prompt_tokens=100, seconds=0.22)
    assert meter.rates(4).prompt_token_seconds == pytest.approx(0.22 / 100, rel=1e-3)


def test_those_that_left_tell_how_long_a_turn_takes() -> None:
    meter = Meter(prefill_tokens=100)
    for _ in range(100):
        meter.left(8.0)
    assert meter.rates(4).turn_seconds == pytest.approx(2)
    assert meter.rates(4).wait(prompt_tokens=0, turns=3) == pytest.approx(6)
