"""Ten thousand random moves: no block is lost, lent to two, or holds anything but what its readers take it for."""

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.inference.blocks import BLOCK_TOKENS
from services.inference.engine import Priority
from services.inference.generation import Generation
from services.inference.scheduler import Scheduler
from tests.inference.scheduled import compute, generation

CAPACITY = 8 * BLOCK_TOKENS
Context = int
"""A hash of all that keys and values are a function of: whose they are, and the tokens up to them."""


class Serving(RuleBasedStateMachine):
    """A scheduler and a model whose cache remembers of each token what came before it."""

    @initialize(slots=st.integers(1, 6), prefill_tokens=st.integers(1, 80))
    def open(self, slots: int, prefill_tokens: int) -> None:
        self.scheduler = Scheduler(slots, CAPACITY, prefill_tokens)
        self.prefill_tokens = prefill_tokens
        self.alive: list[Generation] = []
        self.cache: list[Context | None] = [None] * CAPACITY
        self.contexts: defaultdict[Generation, list[Context]] = defaultdict(list)

    @rule(
        talk=st.integers(0, 2),
        length=st.integers(1, 150),
        tokens=st.integers(1, 100),
        emitted=st.integers(0, 60),
        tenant=st.sampled_from(["a", "b"]),
        priority=st.sampled_from(Priority),
    )
    def start(self, talk: int, length: int, tokens: int, emitted: int, tenant: str, priority: Priority) -> None:
        prompt = range(1000 * talk, 1000 * talk + length)
        emitted = min(emitted, tokens - 1)
        made = generation(prompt, tokens, emitted=emitted, tenant=tenant, priority=priority)
        self.alive.append(made)
        self.scheduler.add(made)

    @rule(count=st.integers(1, 20))
    def step(self, count: int) -> None:
        for _ in range(count):
            self.scheduler.admit()
            self.scheduler.moved()
            step = self.scheduler.schedule()
            assert bool(step) == bool(self.alive)
            assert sum(chunk.count for chunk in step if chunk.count > 1) <= self.prefill_tokens
            running = [each for each in self.scheduler.running if each.length - each.cached == 1]
            assert {*running} <= {chunk.generation for chunk in step}, "each reply gets its token"
            for chunk in step:
                self._write(chunk.generation, chunk.start, chunk.count)
                self._read(chunk.generation, chunk.start + chunk.count)
            compute(self.scheduler, step)
            self.alive = [each for each in self.alive if not each.reply.finish_reason]

    def _context(self, generation: Generation, position: int) -> Context:
        contexts = self.contexts[generation]
        while len(contexts) <= position:
            (token,) = generation.tokens(len(contexts), len(contexts) + 1)
            contexts.append(hash((contexts[-1] if contexts else generation.tenant, token)))
        return contexts[position]

    def _write(self, generation: Generation, start: int, count: int) -> None:
        for position in range(start, start + count):
            place = generation.blocks[position // BLOCK_TOKENS] * BLOCK_TOKENS + position % BLOCK_TOKENS
            self.cache[place] = self._context(generation, position)

    def _read(self, generation: Generation, stop: int) -> None:
        starts = [block * BLOCK_TOKENS for block in generation.blocks]
        held = [self.cache[start + place] for start in starts for place in range(BLOCK_TOKENS)][:stop]
        assert held == self.contexts[generation][:stop]

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        leaving = data.draw(st.sampled_from(self.alive))
        assert self.scheduler.remove(leaving)
        assert not self.scheduler.remove(leaving)
        assert not leaving.blocks
        self.alive.remove(leaving)

    @precondition(lambda self: self.scheduler.running)
    @rule(data=st.data())
    def spoil(self, data: st.DataObject) -> None:
        spoilt = data.draw(st.sampled_from(self.scheduler.running))
        others = {block for each in self.scheduler.running if each is not spoilt for block in each.blocks}
        for block in {*spoilt.blocks} - others:
            self.cache[block * BLOCK_TOKENS : (block + 1) * BLOCK_TOKENS] = [None] * BLOCK_TOKENS
        self.scheduler.discard(spoilt)
        self.alive.remove(spoilt)

    @rule()
    def break_step(self) -> None:
        broken = self.scheduler.break_all()
        self.alive = [each for each in self.alive if each not in broken]
        self.cache = [None] * CAPACITY

    @invariant()
    def nothing_is_lost(self) -> None:
        self.scheduler.check()
        assert {*self.alive} == {*self.scheduler.running, *self.scheduler.waiting.order()}
        assert len(self.alive) == len(self.scheduler.running) + len(self.scheduler.waiting)

    def teardown(self) -> None:
        """All that is alive comes to its end, and then nothing is held."""
        if not hasattr(self, "scheduler"):
            return
        while self.alive:
            self.step(count=1)
        self.scheduler.check()
        assert self.scheduler.standing().cached_tokens == 0
        assert self.scheduler.standing().backlogs == {}


Serving.TestCase.settings = settings(max_examples=100, stateful_step_count=100, deadline=None)
test_serving = Serving.TestCase
