"""Which part of the work each group brings: a count that halves with time, so that old work weighs less."""

from collections import OrderedDict

HALF_LIFE_SECONDS = 60.0
MAX_GROUPS = 10_000
"""The group that brought nothing for the longest is forgotten first."""
_MAX_DOUBLINGS = 100.0
"""Counts are kept as multiples of a unit that doubles with each half-life; they are scaled before they overflow."""


class Shares:
    def __init__(self) -> None:
        self._counts: OrderedDict[str, float] = OrderedDict()
        self._total = 0.0
        self._since: float | None = None

    def add(self, group: str, tokens: int, now: float) -> float:
        """Counts tokens for a group at a time, in seconds; its share of all of late, above 0 up to 1."""
        weight = tokens * self._unit(now)
        self._counts[group] = self._counts.pop(group, 0.0) + weight
        self._total += weight
        while len(self._counts) > MAX_GROUPS:
            self._total -= self._counts.popitem(last=False)[1]
        return self._counts[group] / self._total

    def _unit(self, now: float) -> float:
        if self._since is None:
            self._since = now
        doublings = (now - self._since) / HALF_LIFE_SECONDS
        if doublings > _MAX_DOUBLINGS:
            scale = 2.0**-doublings
            self._counts = OrderedDict((group, count * scale) for group, count in self._counts.items())
            self._total = sum(self._counts.values())
            self._since, doublings = now, 0.0
        return float(2.0**doublings)
