"""What many runs showed, as Markdown."""

import math
from collections import defaultdict
from collections.abc import Sequence

from tests.chaos.run import Outcome
from tests.chaos.tour import KNOWN

HEAD = (
    "| fault | the promise that it threatens | runs | failed | replies | longest pause of a reply: p50, p99, most (s) "
    "| slowest send (s) |\n|---|---|---|---|---|---|---|"
)


def table(outcomes: Sequence[Outcome]) -> str:
    runs = defaultdict[str, list[Outcome]](list)
    for outcome in outcomes:
        runs[outcome.fault].append(outcome)
    return "\n".join([HEAD, *(_row(name, runs[name]) for name in KNOWN if name in runs)])


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    pauses = sorted(pause for outcome in outcomes for pause in outcome.pauses)
    sends = [send for outcome in outcomes for send in outcome.sends]
    failed = sum(bool(outcome.violations) for outcome in outcomes)
    shown = ", ".join(f"{value:.1f}" for value in (_at(pauses, 0.5), _at(pauses, 0.99), _at(pauses, 1)))
    threatens = KNOWN[name].threatens
    return (
        f"| {name} | {threatens} | {len(outcomes)} | {failed} | {len(pauses)} | {shown} | {max(sends, default=0):.1f} |"
    )


def _at(ordered: Sequence[float], part: float) -> float:
    """The smallest value that is not below so large a part of all."""
    return ordered[max(0, math.ceil(len(ordered) * part) - 1)] if ordered else 0.0
