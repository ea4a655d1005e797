"""The long run: `make chaos`. One line a run, and in the end a table of all."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from tests.chaos.fault import Fault
from tests.chaos.faults import CATALOGUE
from tests.chaos.run import Outcome, run
from tests.chaos.table import table
from tests.chaos.tour import KNOWN, TOUR


def main() -> int:
    given = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="parley-chaos-"))
    outcomes: list[Outcome] = []
    try:
        for outcome in _outcomes(_chosen(given), given.minutes, folder, given.stores):
            outcomes.append(outcome)
            sys.stdout.write(_line(outcome) + "\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stdout.write("Cut short.\n")
    sys.stdout.write("\n" + table(outcomes) + "\n")
    failed = [outcome for outcome in outcomes if outcome.violations]
    for outcome in failed:
        sys.stdout.write(f"\nFAILED: {outcome.replay}\n  " + "\n  ".join(outcome.violations) + "\n")
    if failed:
        sys.stdout.write(f"\nThe logs of the failed runs are in {folder}.\n")
    else:
        shutil.rmtree(folder)
    return 1 if failed or not outcomes else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("make chaos", description="Breaks a mesh, and checks its promises.")
    parser.add_argument("--fault", action="append", choices=sorted(KNOWN), help="this fault; all without it")
    parser.add_argument("--seed", type=int, help="this seed alone: replays a run")
    parser.add_argument("--seeds", type=int, default=1, metavar="COUNT", help="seeds 1 to COUNT for each fault")
    parser.add_argument("--minutes", type=float, help="for so long, with one seed after the other, whatever --seeds")
    parser.add_argument("--stores", choices=("embedded", "real"), default="embedded")
    parser.add_argument("--tour", action="store_true", help="the short tour: many faults on one mesh")
    return parser.parse_args()


def _chosen(given: argparse.Namespace) -> Iterator[tuple[Fault, int]]:
    """Faults and seeds: each fault once before any comes again."""
    faults = [KNOWN[name] for name in given.fault or (TOUR if given.tour else CATALOGUE)]
    faults = [each for each in faults if given.stores in each.kinds]
    seeds: Iterable[int] = range(1, given.seeds + 1)
    if given.seed is not None:
        seeds = [given.seed]
    elif given.minutes:
        seeds = count(1)
    return ((fault, seed) for seed in seeds for fault in faults)


def _outcomes(
    chosen: Iterable[tuple[Fault, int]], minutes: float | None, folder: Path, stores: str
) -> Iterator[Outcome]:
    until = time.monotonic() + 60 * (minutes or float("inf"))
    for fault, seed in chosen:
        if time.monotonic() > until:
            return
        yield asyncio.run(run(fault, seed, folder / f"{fault.name}-{seed}", stores))


def _line(outcome: Outcome) -> str:
    verdict = f"FAILED, {len(outcome.violations)} violations" if outcome.violations else "ok"
    pause, send = max(outcome.pauses, default=0), max(outcome.sends, default=0)
    seen = f"{len(outcome.pauses)} replies, longest pause {pause:.1f} s, slowest send {send:.1f} s"
    return f"{outcome.fault} --seed {outcome.seed}: {verdict}; {seen}, {outcome.seconds:.0f} s in all"


if __name__ == "__main__":
    sys.exit(main())
