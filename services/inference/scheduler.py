"""Who runs in the next step: waiting ones join where there is room, long prompts are computed in parts."""

from collections import deque
from dataclasses import dataclass

from services.inference.engine import Load
from services.inference.extents import Extents
from services.inference.generation import Generation


@dataclass(frozen=True, slots=True)
class Chunk:
    """A generation's share of a step: its next `count` tokens go through the model."""

    generation: Generation
    start: int
    count: int

    @property
    def completes(self) -> bool:
        """The step computes the generation's last token, so that the next one can be drawn."""
        return self.start + self.count == self.generation.length


class Scheduler:
    """First come, first served. Not safe for threads: its owner alone calls it."""

    def __init__(self, slots: int, cache_tokens: int, prefill_tokens: int) -> None:
        """`prefill_tokens` bounds the tokens of prompts in one step, and with it how long a step stalls the others."""
        self._slots, self._prefill_tokens = slots, prefill_tokens
        self._cache = Extents(cache_tokens)
        self.waiting: deque[Generation] = deque()
        self.running: list[Generation] = []

    def add(self, generation: Generation) -> None:
        assert generation.cache_size <= self._cache.capacity
        self.waiting.append(generation)

    def remove(self, generation: Generation) -> bool:
        """Takes a generation out, and says whether it was there; its slot and cache are free for the next step."""
        if generation in self.running:
            self.running.remove(generation)
            self._cache.give(generation.cache_start, generation.cache_size)
            return True
        if generation in self.waiting:
            self.waiting.remove(generation)
            return True
        return False

    def admit(self) -> list[Generation]:
        """Moves waiting generations into free slots, and returns them."""
        admitted = []
        while self.waiting and len(self.running) < self._slots:
            start = self._cache.take(self.waiting[0].cache_size)
            if start is None:
                break
            generation = self.waiting.popleft()
            generation.cache_start = start
            self.running.append(generation)
            admitted.append(generation)
        return admitted

    def schedule(self) -> list[Chunk]:
        """The next step: one token of each reply that is under way, and prompts by their turn up to the bound."""
        budget = self._prefill_tokens
        step = []
        for generation in self.running:
            count = generation.length - generation.cached
            if count > 1:
                count = min(count, budget)
                budget -= count
            if count:
                step.append(Chunk(generation, generation.cached, count))
        return step

    def moved(self) -> list[tuple[Generation, int]]:
        """Waiting generations whose place in the queue is another than they were last told."""
        moved = [(each, place) for place, each in enumerate(self.waiting) if each.queue_position != place]
        for generation, place in moved:
            generation.queue_position = place
        return moved

    def load(self) -> Load:
        cached = sum(generation.cached for generation in self.running)
        return Load(len(self.running), len(self.waiting), self._slots, cached, self._cache.capacity)
