"""The pause between two rounds of work that gathers meanwhile."""

import time

SHARE = 4
"""From one round's beginning to the next's is at least so many times what it took: where rounds take much of the
machine's time they come less often, and each does more at once."""
MOST_SECONDS = 0.2
"""No pause for this reason is longer."""


def pause_after(began: float, tick_seconds: float) -> float:
    """Seconds to wait after a round that began at `began` (of `time.monotonic`) and is over now."""
    took = time.monotonic() - began
    return max(0.0, tick_seconds - took, min((SHARE - 1) * took, MOST_SECONDS))
