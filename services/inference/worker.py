"""The thread of an engine: receive, schedule, step, reply; then again."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Protocol

from services.chassis.telemetry import log
from services.inference.draw import Drawn
from services.inference.engine import Event, Failed, FinishReason, engine_failed
from services.inference.generation import Generation
from services.inference.scheduler import Chunk, Scheduler
from services.inference.standing import Standing

logger = logging.getLogger(__name__)


class StepModel(Protocol):
    """A model as its engine sees it. What goes wrong with a step is a RuntimeError."""

    def step(self, chunks: Sequence[Chunk]) -> list[Drawn | None]:
        """Computes the chunks, and draws the next token of each that completes; None if it brought no distribution."""

    def warm_up(self) -> None:
        """Computes a step of nobody's, over whatever the cache held."""


@dataclass(frozen=True, slots=True)
class Start:
    generation: Generation


@dataclass(frozen=True, slots=True)
class Stop:
    generation: Generation


Inbox = SimpleQueue[Start | Stop | None]
"""None ends the worker."""

Events = list[tuple[Generation, Event]]
Deliver = Callable[[Events, Standing], None]
"""Takes events, and how the engine stands now that they happened."""


class Worker:
    """Belongs to one thread; it shares nothing but its inbox, what it delivers, and the time of its last move."""

    def __init__(self, model: StepModel, scheduler: Scheduler, inbox: Inbox, deliver: Deliver) -> None:
        self._model, self._scheduler, self._inbox, self._deliver = model, scheduler, inbox, deliver
        self.busy_since: float | None = None
        """When the round began that it is in, in the time of `time.monotonic`; None while it has nothing to do."""

    def run(self) -> None:
        """Computes steps until it is told to end. Raises RuntimeError if the model computes no more."""
        while (events := self._receive()) is not None:
            self._scheduler.admit()
            events += self._scheduler.moved()
            if events:
                self._deliver(events, self._scheduler.standing())
            if chunks := self._scheduler.schedule():
                self._deliver(self._compute(chunks), self._scheduler.standing())

    def _receive(self) -> Events | None:
        """Takes what came since the last step, and waits for something if there is no next one. None: it shall end."""
        events: Events = []
        idle = not self._scheduler.running and not self._scheduler.waiting
        self.busy_since = None if idle else time.monotonic()
        while idle or not self._inbox.empty():
            idle = False
            match self._inbox.get():
                case Start(generation):
                    self._scheduler.add(generation)
                case Stop(generation):
                    if self._scheduler.remove(generation):
                        events.append((generation, generation.end(FinishReason.CANCELLED)))
                case None:
                    return None
        self.busy_since = time.monotonic()
        return events

    def _compute(self, chunks: Sequence[Chunk]) -> Events:
        drawing = [chunk.generation for chunk in chunks if chunk.completes]
        began = time.monotonic()
        try:
            drawn = self._model.step(chunks)
        except Exception as error:  # noqa: BLE001 - it ends what was computed, not the engine
            return self._break(error)
        self._scheduler.computed(chunks, time.monotonic() - began)
        events = [self._reply(generation, token) for generation, token in zip(drawing, drawn, strict=True)]
        return [event for each in events for event in each]

    def _reply(self, generation: Generation, drawn: Drawn | None) -> Events:
        if drawn is None:
            self._scheduler.discard(generation)
            return [(generation, Failed(generation.undrawn()))]
        delta = generation.reply.extend([drawn.token])
        if drawn.logprobs:
            delta = replace(delta, logprobs=(drawn.logprobs,))
        events: Events = [(generation, delta)]
        if reason := generation.reply.finish_reason:
            self._scheduler.remove(generation)
            events.append((generation, generation.end(reason)))
        return events

    def _break(self, error: Exception) -> Events:
        """Ends all that runs, for nobody knows what the step left in the cache; raises if no step works any more."""
        log(logger, logging.ERROR, "a step failed", why=str(error))
        broken = self._scheduler.break_all()
        failed = Failed(engine_failed("The engine broke while it computed the reply."))
        self._deliver([(generation, failed) for generation in broken], self._scheduler.standing())
        self._model.warm_up()
        return []
