"""Parts of the work that groups bring."""

import pytest

from services.conversation.routing.shares import HALF_LIFE_SECONDS, MAX_GROUPS, Shares


def test_old_work_weighs_half_after_a_half_life() -> None:
    shares = Shares()
    assert shares.add("old", 100, 5.0) == 1
    assert shares.add("new", 50, 5.0 + HALF_LIFE_SECONDS) == pytest.approx(0.5)


def test_counts_outlive_any_time() -> None:
    shares = Shares()
    for day in range(100):
        assert shares.add("a", 100, day * 86_400.0) == pytest.approx(1.0)
    assert shares.add("b", 300, 99 * 86_400.0) == pytest.approx(0.75)


def test_who_brought_nothing_for_the_longest_is_forgotten() -> None:
    shares = Shares()
    for number in range(2 * MAX_GROUPS):
        shares.add(str(number), 1, 0.0)
    assert shares.add("another", 1, 0.0) == pytest.approx(1 / MAX_GROUPS, rel=0.01)
