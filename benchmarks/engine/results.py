"""What a run measured, as it is written down."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.engine.replies import Decoding


@dataclass(frozen=True, slots=True)
class Decoded:
    round: int
    engine: str
    measured: Decoding

    @property
    def requests(self) -> int:
        return self.measured.requests

    @property
    def tokens_per_second(self) -> float:
        return self.measured.tokens_per_second


@dataclass(frozen=True, slots=True)
class Prefilled:
    round: int
    engine: str
    requests: int
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Turned:
    """A second turn."""

    round: int
    engine: str
    reuse: bool
    """What was computed for the first could be used."""
    first: float
    """Seconds until its first token."""


@dataclass(slots=True)
class Results:
    engines: dict[str, dict[str, Any]]
    conditions: dict[str, Any]
    limits: dict[str, float] = field(default_factory=dict)
    decoded: list[Decoded] = field(default_factory=list)
    prefilled: list[Prefilled] = field(default_factory=list)
    turned: list[Turned] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    """Seconds from a cancel to the free slot."""
    left: dict[str, str] = field(default_factory=dict)
    """Engines that were not asked any more, and why."""

    def merge(self, machine: dict[str, Any]) -> None:
        """What was measured of the machine: of its limits, the best counts."""
        for name in [name for name in machine if name.endswith("_per_second")]:
            self.limits[name] = max(self.limits.get(name, 0.0), machine.pop(name))
        others = [*self.conditions.get("others_percent", ()), machine.pop("others_percent")]
        loads = [*self.conditions.get("load", ()), machine.pop("load")]
        self.conditions |= {**machine, "others_percent": others, "load": loads}


Rate = Decoded | Prefilled
R = TypeVar("R", Decoded, Prefilled)


def rate(rows: Sequence[Rate], engine: str, requests: int) -> float | None:
    """The median of all rounds."""
    rates = [row.tokens_per_second for row in rows if (row.engine, row.requests) == (engine, requests)]
    return statistics.median(rates) if rates else None


def ratio(rows: Sequence[Rate], engine: str, other: str, requests: int) -> float | None:
    """The median of the ratios within a round: what disturbs a round disturbs both."""
    rounds: dict[int, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.requests == requests:
            rounds[row.round][row.engine] = row.tokens_per_second
    ratios = [each[engine] / each[other] for each in rounds.values() if each.get(other) and engine in each]
    return statistics.median(ratios) if ratios else None


def pooled(
    rows: Sequence[Decoded], engine: str, requests: int, what: Callable[[Decoding], Sequence[float]]
) -> list[float]:
    """A measure of all rounds together, sorted."""
    chosen = [row.measured for row in rows if (row.engine, row.requests) == (engine, requests)]
    return sorted(value for each in chosen for value in what(each))


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values: the smallest that so large a share does not exceed."""
    return values[min(len(values) - 1, int(len(values) * share))]
