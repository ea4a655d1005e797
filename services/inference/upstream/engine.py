"""The engine whose model another server runs."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from services.chassis.errors import DomainError
from services.chassis.telemetry import log
from services.inference.engine import (
    Cancel,
    ChatMessage,
    Event,
    Failed,
    FinishReason,
    Load,
    Model,
    Parameters,
    Queued,
    Request,
    Sink,
    TokenCount,
    engine_failed,
    invalid,
    model_not_found,
    overloaded,
)
from services.inference.generation import Generation, prepare
from services.inference.upstream.connection import Connection
from services.inference.upstream.piece import TextTokenizer
from services.inference.upstream.places import Places
from services.inference.upstream.speech import Listener, Speech
from services.inference.upstream.watch import Watch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Named:
    model: str
    """As the upstream names it, and requests."""
    display_name: str
    salt: bytes
    """Secret, and the same on every replica, so that they share the upstream's cache of prompts."""


class UpstreamEngine:
    """An `Engine` of one model."""

    def __init__(
        self, named: Named, connection: Connection, watch: Watch, places: Places, load: Callable[[], TextTokenizer]
    ) -> None:
        """`load` runs in a thread; it raises ModelUnusableError."""
        self._named, self._connection, self._watch, self._places, self._load = named, connection, watch, places, load
        self._tokenizer: TextTokenizer | None = None
        self._template_share = 0
        self._ready = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[Generation, asyncio.Task[Event]] = {}

    async def run(self) -> None:
        self._tokenizer = await asyncio.to_thread(self._load)
        self._template_share = self._tokenizer.template_tokens_per_message()
        try:
            async with self._connection:
                await self._watch.begin()
                await self._serve()
        finally:
            self._ready.clear()
            for generation in tuple(self._places.waiting):
                self._leave(generation, _stopped())

    async def wait_ready(self) -> None:
        await self._ready.wait()

    async def check(self) -> None:
        self._watch.check()

    def models(self) -> Sequence[Model]:
        named, watch = self._named, self._watch
        return [Model(named.model, named.display_name, watch.context_length, self._template_share, watch.green)]

    def load(self) -> Load:
        places, length = self._places, self._watch.context_length
        alive = (*places.running, *places.waiting)
        waiting = places.waiting_count
        return Load(
            len(places.running),
            waiting + self._watch.queue_length,
            places.slots,
            sum(generation.cached for generation in places.running),
            places.slots * length,
            pending_prompt_tokens=sum(generation.length for generation in alive if not generation.cached),
            pending_prompt_tokens_limit=places.limit * length,
            expected_wait=places.expected_wait(waiting),
        )

    def stalled_seconds(self) -> float:
        return 0  # the steps are the upstream's, and each wait for it has an end

    async def count(self, model: str, messages: Sequence[ChatMessage]) -> TokenCount:
        encoded = await asyncio.to_thread(self._require(model).encode, messages)
        return TokenCount(len(encoded.tokens), encoded.message_tokens, self._watch.context_length)

    async def start(self, request: Request, sink: Sink) -> Cancel:
        tokenizer = self._require(request.model)
        self._require_place()
        _require_plain(request.parameters)
        generation = await asyncio.to_thread(prepare, request, tokenizer, self._watch.context_length, sink)
        if not self._watch.dialect.takes_tokens:
            tokenizer.spell((*generation.prompt, *generation.reply.tokens))
        self._require(request.model)
        self._require_place()
        if reason := generation.reply.finish_reason:
            asyncio.get_running_loop().call_soon(sink, generation.end(reason))
            return lambda: None
        self._places.add(generation)
        asyncio.get_running_loop().call_soon(self._admit)
        return partial(self._cancel, generation)

    async def _serve(self) -> None:
        """Until it is cancelled; what runs then has ended when it returns."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._ready.set()
            try:
                await self._watch.run()
            finally:
                self._group = None
                self._watch.close()

    def _admit(self) -> None:
        if not self._group:
            return
        for generation in self._places.admit():
            task = self._tasks[generation] = self._group.create_task(self._speak(generation))
            task.add_done_callback(partial(self._spoken, generation))
        for generation, place in self._places.moved():
            generation.sink(Queued(place, self._places.expected_wait(place)))

    async def _speak(self, generation: Generation) -> Event:
        named, watch = self._named, self._watch
        assert self._tokenizer
        listener = Listener(
            self._connection, watch.dialect, self._tokenizer, named.model, watch.context_length, named.salt
        )
        speech = Speech(listener, generation)
        try:
            await speech.follow()
        except DomainError as error:
            return Failed(error)
        except Exception as error:  # noqa: BLE001 - it ends the reply that it is about, not the others
            log(logger, logging.ERROR, "an upstream's answer was not understood", why=repr(error))
            return Failed(engine_failed("The upstream answered what none does."))
        assert generation.reply.finish_reason
        return replace(generation.end(generation.reply.finish_reason), cached_prompt_tokens=speech.cached_prompt_tokens)

    def _spoken(self, generation: Generation, task: asyncio.Task[Event]) -> None:
        if task.cancelled():
            last: Event = generation.end(FinishReason.CANCELLED) if self._group else _stopped()
        else:
            last = _stopped() if task.exception() else task.result()
        del self._tasks[generation]
        self._leave(generation, last)

    def _cancel(self, generation: Generation) -> None:
        if task := self._tasks.get(generation):
            if not task.cancelling():
                task.cancel()
        elif generation in self._places.waiting:
            self._places.remove(generation)
            asyncio.get_running_loop().call_soon(self._leave, generation, generation.end(FinishReason.CANCELLED))

    def _leave(self, generation: Generation, last: Event) -> None:
        self._places.remove(generation)
        generation.sink(last)
        self._admit()

    def _require(self, model: str) -> TextTokenizer:
        if model != self._named.model:
            raise model_not_found(model)
        if not self._tokenizer or not self._watch.green:
            raise overloaded("The upstream is not there.", retry_after=1)
        return self._tokenizer

    def _require_place(self) -> None:
        if self._places.full:
            raise overloaded("All places in the queue are taken.", retry_after=max(1, self._places.expected_wait(0)))


def _require_plain(parameters: Parameters) -> None:
    """An upstream's grammar begins with its prompt, so that a reply could not go on in the middle of a document."""
    asked = {"json_schema": bool(parameters.json_schema), "top_logprobs": parameters.top_logprobs is not None}
    for name, is_asked in asked.items():
        if is_asked:
            raise invalid(f"parameters.{name}", "must be absent: this deployment's engine has no such thing")


def _stopped() -> Failed:
    return Failed(engine_failed("The engine stopped."))
