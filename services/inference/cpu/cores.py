"""How many cores a process may keep busy."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/cpu.max")
"""Of the container: microseconds of processor time in a period, and the period."""


def cores(limit: Path = CGROUP) -> int:
    """Those that it may run on, or as many as its container's share of time is worth: more would only wait."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return allowed
    if quota == "max":
        return allowed
    return max(1, min(allowed, int(quota) // int(period)))
