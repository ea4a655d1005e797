"""Who is with the upstream and who waits: first come, first served, and what nobody watches after the rest."""

import time
from collections.abc import Iterator
from itertools import chain, islice

from services.inference.engine import Priority
from services.inference.generation import Generation

SMOOTHING = 0.1
"""How much the newest generation counts in the mean of how long one holds its slot."""


class Places:
    def __init__(self, slots: int, waiting: int) -> None:
        self.slots, self.limit = slots, slots + waiting
        self.running: dict[Generation, float] = {}
        """When each got its slot."""
        self._waiting: dict[Priority, dict[Generation, int]] = {priority: {} for priority in Priority}
        """The place in the queue that each was last told."""
        self._held: float | None = None
        """Seconds that a generation has its slot."""

    @property
    def full(self) -> bool:
        return len(self.running) + self.waiting_count >= self.limit

    @property
    def waiting(self) -> Iterator[Generation]:
        """The next first."""
        return chain.from_iterable(self._waiting[priority] for priority in sorted(self._waiting))

    @property
    def waiting_count(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, generation: Generation) -> None:
        self._waiting[generation.priority][generation] = -1

    def admit(self) -> list[Generation]:
        """Moves those that wait into free slots, and returns them."""
        admitted = list(islice(self.waiting, max(0, self.slots - len(self.running))))
        for generation in admitted:
            del self._waiting[generation.priority][generation]
            self.running[generation] = time.monotonic()
        return admitted

    def remove(self, generation: Generation) -> None:
        self._waiting[generation.priority].pop(generation, None)
        since = self.running.pop(generation, None)
        if since is not None:
            held = time.monotonic() - since
            self._held = held if self._held is None else self._held + SMOOTHING * (held - self._held)

    def moved(self) -> list[tuple[Generation, int]]:
        """Those that wait at another place than they were last told."""
        moved = []
        for place, generation in enumerate(self.waiting):
            if self._waiting[generation.priority][generation] != place:
                self._waiting[generation.priority][generation] = place
                moved.append((generation, place))
        return moved

    def expected_wait(self, place: int) -> float:
        """Seconds until a slot is free for who waits there, if generations hold theirs as long as before."""
        if len(self.running) < self.slots:
            return 0
        return (self._held or 0) * (place + 1) / self.slots
