"""What a storm must not leave behind: tasks, threads, and open files, which sockets are too."""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Self

import psutil

PAUSE = 0.02
POOL = "asyncio_"
"""Threads of the event loop's own pool, which is bounded and stays."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What there is at some moment, by kind: a server ends tasks and starts the same ones anew all the time."""

    kinds: Counter[str]

    @classmethod
    def now(cls) -> Self:
        files = Counter({"open files": psutil.Process().num_fds()})
        names = (thread.name for thread in threading.enumerate())
        return cls(files + tasks_now() + Counter(f"thread {name}" for name in names if not name.startswith(POOL)))

    async def gone(self, seconds: float) -> Counter[str]:
        """What came since, and is there still after so many seconds."""
        until = time.monotonic() + seconds
        while (left := self.now().kinds - self.kinds) and time.monotonic() < until:
            await asyncio.sleep(PAUSE)
        return left


def tasks_now() -> Counter[str]:
    """The tasks by what they run, without those of the proxy's connections."""
    running = (getattr(task.get_coro(), "__qualname__", "task") for task in asyncio.all_tasks())
    return Counter(name for name in running if not name.startswith("Proxy."))
