"""The long run of tests/cancellation: calls of many accounts, cancelled at every await, through every driver.

    python -m benchmarks.cancellation --operations 100000 [--seed 1f2e3d4c] [--only "auth in PostgreSQL"]

Servers are where the environment says that they are (see tests/servers.py); a driver whose server is not named is left
out. Ends with status 1 if anybody was given what is another's, or anything was left behind.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.cancellation.backends import DRIVERS
from tests.cancellation.passage import Report, pass_through

PROGRESS_SECONDS = 1.0


class Line:
    """The line that says how far it is."""

    def __init__(self, name: str, operations: int) -> None:
        self._name, self._operations, self._shown = name, operations, 0.0

    def show(self, number: int) -> None:
        if time.monotonic() - self._shown > PROGRESS_SECONDS:
            self._shown = time.monotonic()
            print(f"{self._name}: {number:,} of {self._operations:,}", end="\033[K\r", file=sys.stderr, flush=True)


async def run(name: str, operations: int, seed: str) -> Report | None:
    """None where the driver's server is not named."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return await pass_through(DRIVERS[name].start, Path(folder), seed, operations, Line(name, operations).show)
        except pytest.skip.Exception as left_out:
            print(f"{name}: left out, {left_out.msg}")
            return None


def say(name: str, report: Report) -> bool:
    """Prints what came of it; whether all is well."""
    total = sum(report.outcomes.values())
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(report.outcomes.items()))
    print(
        f"{name}: {total:,} operations in {report.seconds:.0f} s ({outcomes}); {report.acknowledged:,} values "
        f"acknowledged and read again; {len(report.mix_ups)} mix-ups"
    )
    wrong = [*report.mix_ups, *report.too_many.items(), *report.left_over.items(), *report.unseen]
    for each in wrong:
        print(f"  {each}")
    return not wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--only", choices=DRIVERS, action="append")
    arguments = parser.parse_args()
    names = arguments.only or list(DRIVERS)
    shares = sum(DRIVERS[name].share for name in names)
    print(f"seed {arguments.seed}")
    all_is_well = True
    for name in names:
        report = asyncio.run(run(name, round(arguments.operations * DRIVERS[name].share / shares), arguments.seed))
        all_is_well &= report is None or say(name, report)
    sys.exit(0 if all_is_well else 1)


if __name__ == "__main__":
    main()
