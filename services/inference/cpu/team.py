"""Threads that compute steps together. Between steps they nap; after a while without one they sleep."""

import threading
import weakref
from collections.abc import Sequence

from services.inference.cpu.forward import publish, serve
from services.inference.cpu.job import STEP, Job

_NEVER = 2**62


class Team:
    """The calling thread and `threads - 1` others, which end with it. One step after another."""

    def __init__(self, job: Job, threads: int) -> None:
        self._job, self._threads = job, threads
        self._awake = [threading.Event() for _ in range(1, threads)]
        closed = threading.Event()
        weakref.finalize(self, _close, closed, self._awake)
        for thread, awake in enumerate(self._awake, 1):
            # The step is read here: the thread may begin after the first one was asked for.
            arguments = (job, thread, threads, int(job.control[STEP]), awake, closed)
            # Daemons: a process may end in the middle of a step.
            threading.Thread(target=_serve, args=arguments, name=f"step-{thread}", daemon=True).start()

    def step(self) -> None:
        """Computes what stands in the job."""
        self._job.tickets[:] = 0
        seen = publish(self._job.control)
        for awake in self._awake:
            awake.set()
        serve(self._job, 0, self._threads, seen, seen + 1)


def _serve(job: Job, thread: int, threads: int, seen: int, awake: threading.Event, closed: threading.Event) -> None:
    while not closed.is_set():
        awake.wait()
        # Before looking for a step: one that comes later sets it again.
        awake.clear()
        seen = serve(job, thread, threads, seen, _NEVER)


def _close(closed: threading.Event, awake: Sequence[threading.Event]) -> None:
    closed.set()
    for each in awake:
        each.set()
