"""An engine without a model: replies that can be foretold, at a pace that can be chosen, many at once on one timer."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.chassis.errors import DomainError, Reason
from services.chassis.tick import pause_after
from services.inference.admission import Admission, Bounds, Limits
from services.inference.blocks import BLOCK_TOKENS, blocks_for
from services.inference.engine import (
    Cancel,
    ChatMessage,
    Event,
    Failed,
    FinishReason,
    Load,
    Model,
    Request,
    Sink,
    TokenCount,
    engine_failed,
    invalid,
    model_not_found,
)
from services.inference.fake_text import END, TEMPLATE_TOKENS_PER_MESSAGE, FakeTokenizer, Script, logprobs, write
from services.inference.generation import Generation, prepare
from services.inference.scheduler import Scheduler

MODEL_ID = "fake"
TICK_SECONDS = 0.01
"""Tokens that are due closer together than this come together, so that all generations share one timer."""


@dataclass(frozen=True, slots=True)
class Pace:
    tokens_per_second: float = 0
    """Of each generation; 0 is one token at each turn of the event loop."""
    first_token_seconds: float = 0
    """From joining the batch."""

    def due(self, seconds: float, brought: int) -> int:
        """Tokens that are due so long after joining the batch, when so many were brought already."""
        late = seconds - self.first_token_seconds
        if late < 0:
            return 0
        return 1 + int(late * self.tokens_per_second) if self.tokens_per_second else brought + 1

    def time_of(self, token: int) -> float:
        """When a token is due, in seconds after joining the batch."""
        return self.first_token_seconds + (token / self.tokens_per_second if self.tokens_per_second else 0)


@dataclass(slots=True)
class _Speech:
    script: Script
    first: int = 0
    """The place in the reply of the first token that was not emitted when it joined the batch."""
    joined: float = 0
    """When it joined the batch, or when its script starts, if that is later."""


class FakeEngine:
    """An `Engine` of one model, `fake`; `fake_text` says what it replies."""

    def __init__(
        self,
        *,
        slots: int = 16,
        waiting: int = 256,
        context_length: int = 8192,
        words: int = 32,
        pace: Pace | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`words` is the length of a reply that its prompt does not choose."""
        self._slots, self._context_length, self._words = slots, context_length, words
        self._pace = pace or Pace()
        cache_tokens = slots * blocks_for(context_length) * BLOCK_TOKENS
        bounds = Bounds(slots, waiting, cache_tokens, context_length, limits or Limits())
        self._admission = Admission(bounds)
        self._scheduler = Scheduler(bounds.slots, bounds.cache_tokens, bounds.prefill_tokens)
        self._tokenizer = FakeTokenizer()
        self._speeches: dict[Generation, _Speech] = {}
        self._ready, self._wake = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        self._ready.set()
        try:
            while True:
                self._wake.clear()
                began = time.monotonic()
                await self._pause(self._step(began), began)
        finally:
            self._ready.clear()
            for generation in tuple(self._speeches):
                self._leave(generation, Failed(engine_failed("The engine stopped.")))

    async def wait_ready(self) -> None:
        await self._ready.wait()

    async def check(self) -> None:
        if not self._ready.is_set():
            raise DomainError(Reason.UNAVAILABLE, "The engine does not run.")

    def models(self) -> Sequence[Model]:
        ready = self._ready.is_set()
        return [Model(MODEL_ID, "Fake", self._context_length, TEMPLATE_TOKENS_PER_MESSAGE, ready)]

    def load(self) -> Load:
        self._admission.update(self._scheduler.standing())
        return self._admission.load()

    def stalled_seconds(self) -> float:
        return 0

    async def count(self, model: str, messages: Sequence[ChatMessage]) -> TokenCount:
        _require(model)
        encoded = self._tokenizer.encode(messages)
        return TokenCount(len(encoded.tokens), encoded.message_tokens, self._context_length)

    async def start(self, request: Request, sink: Sink) -> Cancel:
        _require(request.model)
        if request.parameters.json_schema:
            raise invalid("parameters.json_schema", "must be empty: the fake engine says what it says")
        generation = prepare(request, self._tokenizer, self._context_length, sink)
        self._admission.update(self._scheduler.standing())
        self._admission.require(request.tenant, request.priority, generation.length)
        self._admission.enter(generation)
        script = write(generation.prompt, request.parameters, self._words)
        self._speeches[generation] = _Speech(script)
        self._admission.send(generation)
        self._scheduler.add(generation)
        if generation.reply.finish_reason:
            self._leave(generation, generation.end(generation.reply.finish_reason))
        self._wake.set()
        return lambda: self._cancel(generation)

    def _cancel(self, generation: Generation) -> None:
        if generation in self._speeches:
            self._leave(generation, generation.end(FinishReason.CANCELLED))
            self._wake.set()

    def _leave(self, generation: Generation, last: Event) -> None:
        self._scheduler.remove(generation)
        self._admission.leave(generation)
        del self._speeches[generation]
        asyncio.get_running_loop().call_soon(generation.sink, last)

    def _step(self, now: float) -> float | None:
        """Brings the tokens that are due, and returns the seconds until more are; None: nothing runs."""
        for generation in self._scheduler.admit():
            speech = self._speeches[generation]
            wait = max(0.0, speech.script.starts_at - time.time())
            speech.first, speech.joined = len(generation.reply.tokens), now + wait
        for generation, queued in self._scheduler.moved():
            generation.sink(queued)
        self._scheduler.computed(self._scheduler.schedule(), seconds=0)
        for generation in tuple(self._scheduler.running):
            self._speak(generation, self._speeches[generation], now)
        if self._scheduler.waiting and len(self._scheduler.running) < self._slots:
            return 0
        speeches = ((self._speeches[each], len(each.reply.tokens)) for each in self._scheduler.running)
        times = (speech.joined + self._pace.time_of(tokens - speech.first) for speech, tokens in speeches)
        return max(0.0, min(times, default=now) - now) if self._scheduler.running else None

    def _speak(self, generation: Generation, speech: _Speech, now: float) -> None:
        reply, script = generation.reply, speech.script
        done = len(reply.tokens)
        due = speech.first + self._pace.due(now - speech.joined, done - speech.first)
        if script.fails_after is not None:
            due = min(due, script.fails_after)
        if due > done:
            # Emitted tokens that are not its own may have led past the end of the script.
            delta = reply.extend(script.tokens[done:due] or (END,))
            if (count := generation.parameters.top_logprobs) is not None:
                delta = replace(delta, logprobs=tuple(logprobs(token, count) for token in delta.token_ids))
            generation.sink(delta)
        if reply.finish_reason:
            self._leave(generation, generation.end(reply.finish_reason))
        elif due == script.fails_after:
            self._leave(generation, Failed(engine_failed("The engine broke, as it was asked to.")))

    async def _pause(self, seconds: float | None, began: float) -> None:
        """Waits so long, and at least for the next tick, or until something is started or cancelled."""
        if seconds == 0:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds is None else max(seconds, pause_after(began, TICK_SECONDS))):
                await self._wake.wait()


def _require(model: str) -> None:
    if model != MODEL_ID:
        raise model_not_found(model)
