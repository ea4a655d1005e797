"""What is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    streams: tuple[int, ...]
    tokens: int
    lead_seconds: float
    """For all replies to be asked for before they begin together."""
    rounds: int
    waiting: int
    """Subscriptions to replies that wait."""
    waiting_seconds: float
    raw: tuple[int, ...]
    """Streams of the servers that are compared with."""


TOKENS_PER_SECOND = 100
FULL = Plan((25, 100, 250), 500, 20, 3, 1000, 30, (25, 100, 250))
QUICK = Plan((25, 100), 500, 8, 1, 100, 15, (25, 100))
