"""The short tour: each family of faults once, with one seed."""

from pathlib import Path

import pytest

from tests.chaos.faults import CATALOGUE
from tests.chaos.run import run

SEED = 1
SECONDS = 600
"""For one run on a machine that has other things to do, too."""


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", [name for name, fault in CATALOGUE.items() if fault.in_tour])
async def test_every_promise_outlives(name: str, tmp_path: Path) -> None:
    fault = CATALOGUE[name]
    outcome = await run(fault, SEED, tmp_path / name, fault.kinds[0])
    assert not outcome.violations, "\n".join([outcome.replay, *outcome.violations])
