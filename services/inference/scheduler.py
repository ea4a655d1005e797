"""Who runs in the next step: waiting ones join where there is room, and long prompts are computed in parts.

Continuous batching (G. Yu et al., "Orca", OSDI 2022) over paged memory (W. Kwon et al., "Efficient memory management
for large language model serving with PagedAttention", SOSP 2023) with chunked prefill (A. Agrawal et al., "Taming
throughput-latency tradeoff in LLM inference with Sarathi-Serve", OSDI 2024).

Out of memory, the last that joined makes room, batch priority first: it waits again, first in its tenant's line, and is
computed again from its tokens later. The first that joined always goes on, and alone it always fits. Who joins finds
room for all its tokens and one more block for each that runs, and a reply needs a block every BLOCK_TOKENS steps: so at
least so many steps lie between one that joins and the next that has to make room.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from services.inference.engine import Priority, Queued
from services.inference.generation import Generation
from services.inference.memory import Memory
from services.inference.rates import Meter
from services.inference.shares import OUTPUT_COST, PROMPT_COST, Shares
from services.inference.standing import Backlog, Standing
from services.inference.waiting import Waiting

RETELL_SECONDS = 5.0
"""So often those that wait are told, though their places are the same: whoever hears nothing for long gives up."""


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
    """Not safe for threads: its owner alone calls it."""

    def __init__(self, slots: int, cache_tokens: int, prefill_tokens: int) -> None:
        """`prefill_tokens` bounds the tokens of prompts in one step, and with it how long a step stalls the others."""
        self._slots, self._prefill_tokens = slots, prefill_tokens
        self._memory = Memory(cache_tokens)
        self._shares = Shares()
        self._meter = Meter(prefill_tokens)
        self._taken = 0
        self._moved = False
        """Who waits, or before whom, is another than was told."""
        self._told = 0.0
        """When all that wait were told last, in the time of `time.monotonic`."""
        self.waiting = Waiting(self._shares)
        self.running: list[Generation] = []
        """In the order in which they joined."""

    def add(self, generation: Generation) -> None:
        assert generation.cache_size <= self._memory.capacity
        self._taken += 1
        self._wait(generation)
        self.waiting.add(generation)

    def remove(self, generation: Generation) -> bool:
        """Takes a generation out, and says whether it was there; its slot and blocks are free for the next step."""
        if generation in self.running:
            self._leave(generation)
            self._meter.left(time.monotonic() - generation.joined)
            return True
        self._moved = True
        return self.waiting.remove(generation)

    def discard(self, generation: Generation) -> None:
        """Takes out one that runs and whose numbers are wrong: nobody shall find what it computed."""
        self._memory.discard(generation)
        self.remove(generation)

    def break_all(self) -> list[Generation]:
        """Takes out all that run, and forgets all that was ever computed."""
        broken = list(self.running)
        for generation in broken:
            self.discard(generation)
        self._memory.forget()
        return broken

    def admit(self) -> list[Generation]:
        """Moves waiting generations into the batch as far as there is room, and returns them."""
        admitted = []
        while generation := self.waiting.first():
            if self._join(generation):
                admitted.append(generation)
            elif self.running and (last := self._least_entitled()).priority > generation.priority:
                self._preempt(last)
            else:
                break
        return admitted

    def schedule(self) -> list[Chunk]:
        """The next step: one token of each reply that is under way, and prompts by their turn up to the bound."""
        for generation in tuple(self.running):
            self._grow(generation)
        step = [Chunk(each, each.cached, 1) for each in self.running if each.length - each.cached == 1]
        prompts = [each for each in self.running if each.length - each.cached > 1]
        budget = self._prefill_tokens
        for generation in sorted(prompts, key=lambda each: (each.priority, self._shares.given(each.tenant))):
            if count := min(generation.length - generation.cached, budget):
                budget -= count
                step.append(Chunk(generation, generation.cached, count))
        return step

    def computed(self, step: Sequence[Chunk], seconds: float) -> None:
        """The step was computed, and took so long."""
        for chunk in step:
            generation = chunk.generation
            self._memory.computed(generation, chunk.count)
            paid = min(chunk.count, generation.owed)
            generation.owed -= paid
            self._shares.keep(generation.tenant, paid * PROMPT_COST)
            self._shares.give(generation.tenant, chunk.completes * OUTPUT_COST)
        self._meter.step(sum(chunk.count for chunk in step if chunk.count > 1), seconds)

    def moved(self) -> list[tuple[Generation, Queued]]:
        """Waiting generations whose place in the queue is another than they were last told; at times, all."""
        retell = time.monotonic() - self._told > RETELL_SECONDS
        if not self._moved and not retell:
            return []
        self._moved = False
        if retell:
            self._told = time.monotonic()
        rates, moved = self._meter.rates(len(self.running)), []
        tokens = sum(each.length - each.cached for each in self.running if each.length - each.cached > 1)
        for place, generation in enumerate(self.waiting.order()):
            tokens += generation.pending
            if retell or generation.queue_position != place:
                generation.queue_position = place
                moved.append((generation, Queued(place, rates.wait(tokens, place + 1))))
        return moved

    def standing(self) -> Standing:
        backlogs = self.waiting.backlogs()
        for each in self.running:
            if (tokens := each.length - each.cached) > 1:
                line = (each.priority, each.tenant)
                backlogs[line] = backlogs.get(line, Backlog()) + Backlog(0, tokens)
        rates = self._meter.rates(len(self.running))
        return Standing(self._taken, len(self.running), self._memory.held, backlogs, rates)

    def check(self) -> None:
        """Asserts that no block is lost or lent to two, and that nothing waits that has any."""
        self._memory.check(self.running)
        assert len(self.running) <= self._slots
        assert not any(generation.blocks for generation in self.waiting.order())

    def _join(self, generation: Generation) -> bool:
        if len(self.running) >= self._slots:
            return False
        # Alone, it shall not wait for more than it needs.
        margin = len(self.running) + 1 if self.running else 0
        if not self._memory.open(generation, margin):
            return False
        self.waiting.remove(generation)
        self._moved = True
        generation.queue_position = None
        generation.joined = time.monotonic()
        self.running.append(generation)
        if not generation.preempted:
            generation.cached_prompt_tokens = min(generation.cached, len(generation.prompt))
            generation.owed = generation.length
        generation.owed = min(generation.owed, generation.length - generation.cached)
        self._shares.promise(generation.tenant, generation.owed * PROMPT_COST)
        return True

    def _leave(self, generation: Generation) -> None:
        self.running.remove(generation)
        self._memory.close(generation)
        self._shares.promise(generation.tenant, -generation.owed * PROMPT_COST)

    def _grow(self, generation: Generation) -> None:
        """Makes room for one that runs, where need be in the place of those that are less entitled to it."""
        while generation in self.running and not self._memory.grow(generation):
            self._preempt(self._least_entitled())

    def _least_entitled(self) -> Generation:
        batch = [each for each in self.running if each.priority is Priority.BATCH]
        return (batch or self.running)[-1]

    def _preempt(self, generation: Generation) -> None:
        self._leave(generation)
        generation.preempted = True
        self._wait(generation)
        self.waiting.put_back(generation)

    def _wait(self, generation: Generation) -> None:
        generation.pending = generation.length - self._memory.found(generation)
        self._moved = True
