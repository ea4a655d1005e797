"""How long a process that ended stays down before it is started again."""

FIRST_SECONDS = 0.5
MOST_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that was up for so long starts again from the shortest delay."""


class Backoff:
    """Doubles with every end that follows soon after a start."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def delay(self, uptime: float) -> float:
        """Seconds to wait now, after `uptime` seconds of work."""
        if uptime >= STEADY_SECONDS:
            self._next = FIRST_SECONDS
        delay, self._next = self._next, min(self._next * 2, MOST_SECONDS)
        return delay
