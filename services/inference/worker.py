"""The thread of an engine: receive, schedule, step, reply; then again."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from services.chassis.telemetry import log
from services.inference.engine import Event, Failed, FinishReason, Load, Queued, engine_failed
from services.inference.generation import Generation
from services.inference.scheduler import Chunk, Scheduler

logger = logging.getLogger(__name__)


class StepModel(Protocol):
    """A model as its engine sees it. What goes wrong with a step is a RuntimeError."""

    def step(self, chunks: Sequence[Chunk]) -> list[int | None]:
        """Computes the chunks, and draws the next token of each that completes; None if it brought no distribution."""

    def warm_up(self) -> None:
        """Computes a step of nobody's. Must not be called while something runs."""


@dataclass(frozen=True, slots=True)
class Start:
    generation: Generation


@dataclass(frozen=True, slots=True)
class Stop:
    generation: Generation


Inbox = SimpleQueue[Start | Stop | None]
"""None ends the worker."""

Events = list[tuple[Generation, Event]]
Deliver = Callable[[Events, Load], None]
"""Takes events, and how busy the engine is now that they happened."""


class Worker:
    """Belongs to one thread; it shares nothing but its inbox, and what it delivers."""

    def __init__(self, model: StepModel, scheduler: Scheduler, inbox: Inbox, deliver: Deliver) -> None:
        self._model, self._scheduler, self._inbox, self._deliver = model, scheduler, inbox, deliver

    def run(self) -> None:
        """Computes steps until it is told to end. Raises RuntimeError if the model computes no more."""
        while (events := self._receive()) is not None:
            self._scheduler.admit()
            events += [(generation, Queued(place)) for generation, place in self._scheduler.moved()]
            if events:
                self._deliver(events, self._scheduler.load())
            if chunks := self._scheduler.schedule():
                self._deliver(self._compute(chunks), self._scheduler.load())

    def _receive(self) -> Events | None:
        """Takes what came since the last step, and waits for something if there is no next one. None: it shall end."""
        events: Events = []
        idle = not self._scheduler.running and not self._scheduler.waiting
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
        return events

    def _compute(self, chunks: Sequence[Chunk]) -> Events:
        drawing = [chunk.generation for chunk in chunks if chunk.completes]
        try:
            tokens = self._model.step(chunks)
        except Exception as error:  # noqa: BLE001 - it ends what was computed, not the engine
            return self._break(error)
        for chunk in chunks:
            chunk.generation.cached += chunk.count
        events = [self._reply(generation, token) for generation, token in zip(drawing, tokens, strict=True)]
        return [event for each in events for event in each]

    def _reply(self, generation: Generation, token: int | None) -> Events:
        if token is None:
            self._scheduler.remove(generation)
            return [(generation, Failed(engine_failed("The model brought numbers that are no distribution.")))]
        events: Events = [(generation, generation.reply.extend([token]))]
        if reason := generation.reply.finish_reason:
            self._scheduler.remove(generation)
            events.append((generation, generation.end(reason)))
        return events

    def _break(self, error: Exception) -> Events:
        """Ends all that runs, for nobody knows what the step left in the cache; raises if no step works any more."""
        log(logger, logging.ERROR, "a step failed", why=str(error))
        broken = list(self._scheduler.running)
        for generation in broken:
            self._scheduler.remove(generation)
        failed = Failed(engine_failed("The engine broke while it computed the reply."))
        self._deliver([(generation, failed) for generation in broken], self._scheduler.load())
        self._model.warm_up()
        return []
