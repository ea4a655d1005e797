"""Threads that compute steps together. Between steps they nap; after a while without one they sleep."""

import threading

from services.inference.cpu.forward import serve
from services.inference.cpu.job import STEP, Job

_NEVER = 2**62


class Team:
    """The calling thread and `threads - 1` others. Its caller alone may call it, one step after another."""

    def __init__(self, job: Job, threads: int) -> None:
        self._job, self._threads = job, threads
        self._awake = [threading.Event() for _ in range(1, threads)]
        self._closed = False
        for thread, awake in enumerate(self._awake, 1):
            # Daemons: a process may end in the middle of a step.
            threading.Thread(target=self._serve, args=(thread, awake), name=f"step-{thread}", daemon=True).start()

    def step(self) -> None:
        """Computes what stands in the job."""
        self._job.tickets[:] = 0
        self._job.control[STEP] += 1
        for awake in self._awake:
            awake.set()
        step = int(self._job.control[STEP])
        serve(self._job, 0, self._threads, step - 1, step)

    def close(self) -> None:
        """Lets the threads end."""
        self._closed = True
        for awake in self._awake:
            awake.set()

    def _serve(self, thread: int, awake: threading.Event) -> None:
        seen = int(self._job.control[STEP])
        while not self._closed:
            awake.wait()
            # Before looking for a step: one that comes later sets it again.
            awake.clear()
            seen = serve(self._job, thread, self._threads, seen, _NEVER)
