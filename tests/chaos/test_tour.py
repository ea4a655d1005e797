"""The short tour of all families of faults, with one seed."""

from pathlib import Path

import pytest

from tests.chaos.run import run
from tests.chaos.tour import TOUR

SEED = 1
SECONDS = 600
"""For one run on a machine that has other things to do, too."""


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", TOUR)
async def test_every_promise_outlives(name: str, tmp_path: Path) -> None:
    outcome = await run(TOUR[name], SEED, tmp_path / name)
    assert not outcome.violations, "\n".join([outcome.replay, *outcome.violations])
