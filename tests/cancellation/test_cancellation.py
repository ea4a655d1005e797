"""A user who reloads the page at the wrong moment cancels a call, and the next user must not be given its answer.

On every driver, through a proxy that is slow and breaks. `python -m benchmarks.cancellation` makes it long.
"""

import secrets
from pathlib import Path

import pytest

from tests.cancellation.backends import DRIVERS
from tests.cancellation.leaky import leaky_store
from tests.cancellation.passage import pass_through
from tests.cancellation.storm import CUT_EVERY

OPERATIONS = 5_000
"""Of all drivers."""
SEED = secrets.token_hex(4)
"""One that failed is repeated by writing it here: what is called and when it is cancelled, but not the timing."""


@pytest.mark.parametrize("name", DRIVERS)
async def test_nobody_is_given_the_answer_to_a_call_that_another_cancelled(name: str, tmp_path: Path) -> None:
    driver = DRIVERS[name]
    operations = round(OPERATIONS * driver.share)
    report = await pass_through(driver.start, tmp_path, SEED, operations)
    said = f"{name}, seed {SEED}: {report}"
    assert not report.mix_ups, said
    assert not report.too_many, said
    assert not report.left_over, said
    assert not report.unseen, said
    # It was a storm, and not a calm or a store that was away.
    assert report.outcomes["cancelled"] > operations / 10, said
    assert report.outcomes["done"] > operations / 20, said


async def test_a_driver_that_gives_one_users_answer_to_another_is_found_out(tmp_path: Path) -> None:
    report = await pass_through(leaky_store, tmp_path, SEED, CUT_EVERY - 1)
    owners = [mix_up.split()[2].split("/")[0] for mix_up in report.mix_ups]
    others = [mix_up for mix_up, owner in zip(report.mix_ups, owners, strict=True) if mix_up.count(owner) == 1]
    assert any("brought None" not in mix_up for mix_up in others), f"seed {SEED}: {report}"
