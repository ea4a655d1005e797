"""Until when the current call is worth working for; calls onward never outlive it."""

import time
from contextvars import ContextVar

_until: ContextVar[float] = ContextVar("deadline", default=float("inf"))


def begin(seconds: float) -> None:
    """Sets the deadline of the call that this task serves, and of what it starts."""
    _until.set(time.monotonic() + seconds)


def within(seconds: float) -> float:
    """Seconds that a call onward may take: `seconds`, or what is left of the current call."""
    return max(0.0, min(seconds, _until.get() - time.monotonic()))
