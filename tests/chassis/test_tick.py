"""Rounds come every tick, and less often where they take long."""

import time

import pytest

from services.chassis.tick import MOST_SECONDS, SHARE, pause_after


def test_short_rounds_begin_every_tick() -> None:
    assert 0.9 < pause_after(time.monotonic(), 1.0) <= 1.0


@pytest.mark.parametrize("took", [0.01, 0.02, 0.04])
def test_rounds_that_take_long_leave_most_of_the_time_to_others(took: float) -> None:
    assert pause_after(time.monotonic() - took, 0.001) >= min((SHARE - 1) * took, MOST_SECONDS)


@pytest.mark.parametrize("took", [0.1, 1.0, 10.0])
def test_the_longest_rounds_leave_time_to_others_too_and_no_pause_is_longer_than_readers_bear(took: float) -> None:
    assert pause_after(time.monotonic() - took, 0.025) == MOST_SECONDS
