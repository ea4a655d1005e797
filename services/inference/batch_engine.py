"""The engine that runs a model: its thread computes steps, the event loop speaks with everybody."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

from services.chassis.errors import DomainError, Reason
from services.inference.admission import Admission, Bounds
from services.inference.engine import (
    Cancel,
    ChatMessage,
    End,
    Failed,
    Load,
    Model,
    Request,
    Sink,
    TokenCount,
    engine_failed,
    model_not_found,
    overloaded,
)
from services.inference.generation import Generation, Tokenizer, prepare
from services.inference.grammars import Grammars
from services.inference.scheduler import Scheduler
from services.inference.standing import Standing
from services.inference.worker import Events, Inbox, Start, StepModel, Stop, Worker

JOIN_SECONDS = 5.0
"""How long a stop waits for the step that runs. A model that is still loading is not waited for."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can run."""

    model: StepModel
    tokenizer: Tokenizer
    context_length: int
    template_tokens_per_message: int


class BatchEngine:
    """An `Engine` of one model."""

    def __init__(
        self, model_id: str, load: Callable[[], Loaded], bounds: Bounds, *, display_name: str | None = None
    ) -> None:
        """`load` runs in the engine's thread; it raises ModelUnusableError."""
        self._model_id, self._display_name = model_id, display_name or model_id
        self._load_model, self._bounds = load, bounds
        self._loaded: Loaded | None = None
        self._grammars: Grammars | None = None
        self._ready = asyncio.Event()
        self._inbox: Inbox = SimpleQueue()
        self._admission = Admission(bounds)
        self._worker: Worker | None = None

    async def run(self) -> None:
        ended: Future[None] = Future()
        # A daemon, so that a process can end while its model is still loading.
        thread = threading.Thread(target=self._work, args=(asyncio.get_running_loop(), ended), daemon=True)
        thread.start()
        try:
            await asyncio.wrap_future(ended)
        finally:
            self._inbox.put(None)
            if self._ready.is_set():
                await asyncio.to_thread(thread.join, JOIN_SECONDS)
            self._ready.clear()
            failed = Failed(engine_failed("The engine stopped."))
            self._take([(generation, failed) for generation in self._admission.alive()], Standing())

    async def wait_ready(self) -> None:
        await self._ready.wait()

    async def check(self) -> None:
        if not self._ready.is_set():
            raise DomainError(Reason.UNAVAILABLE, "The model is not loaded.")

    def models(self) -> Sequence[Model]:
        length, share = 0, 0
        if self._loaded:
            length, share = self._loaded.context_length, self._loaded.template_tokens_per_message
        return [Model(self._model_id, self._display_name, length, share, self._ready.is_set())]

    def load(self) -> Load:
        return self._admission.load()

    def stalled_seconds(self) -> float:
        """How long the step that runs has taken so far; 0 while there is nothing to do."""
        since = self._worker.busy_since if self._worker else None
        return 0 if since is None else time.monotonic() - since

    async def count(self, model: str, messages: Sequence[ChatMessage]) -> TokenCount:
        loaded = self._require(model)
        encoded = await asyncio.to_thread(loaded.tokenizer.encode, messages)
        return TokenCount(len(encoded.tokens), encoded.message_tokens, loaded.context_length)

    async def start(self, request: Request, sink: Sink) -> Cancel:
        loaded = self._require(request.model)
        self._admission.require(request.tenant, request.priority, 0)
        schema = request.parameters.json_schema
        grammar = await self._grammars.find(schema) if schema and self._grammars else None
        generation = await asyncio.to_thread(prepare, request, loaded.tokenizer, loaded.context_length, sink, grammar)
        self._require(request.model)
        reason = generation.reply.finish_reason
        self._admission.require(request.tenant, request.priority, 0 if reason else generation.length)
        self._admission.enter(generation)
        if reason:
            ended: Events = [(generation, generation.end(reason))]
            asyncio.get_running_loop().call_soon(self._pass_on, ended)
        else:
            self._admission.send(generation)
            self._inbox.put(Start(generation))
        return partial(self._cancel, generation)

    def _cancel(self, generation: Generation) -> None:
        if generation in self._admission:
            self._inbox.put(Stop(generation))

    def _require(self, model: str) -> Loaded:
        if model != self._model_id:
            raise model_not_found(model)
        if not self._loaded or not self._ready.is_set():
            raise overloaded("The model is not loaded yet.", retry_after=1)
        return self._loaded

    def _work(self, loop: asyncio.AbstractEventLoop, ended: "Future[None]") -> None:
        """The thread: loads the model and computes until it is told to end."""
        ended.set_running_or_notify_cancel()

        def deliver(events: Events, standing: Standing) -> None:
            loop.call_soon_threadsafe(self._take, events, standing)

        try:
            loaded = self._load_model()
            bounds = self._bounds
            scheduler = Scheduler(bounds.slots, bounds.cache_tokens, bounds.prefill_tokens)
            self._worker = Worker(loaded.model, scheduler, self._inbox, deliver)
            grammars = Grammars(loaded.tokenizer.vocabulary, loaded.tokenizer.end_ids)
            loop.call_soon_threadsafe(self._open, loaded, grammars)
            self._worker.run()
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            ended.set_exception(error)
        else:
            ended.set_result(None)

    def _open(self, loaded: Loaded, grammars: Grammars) -> None:
        self._loaded, self._grammars = loaded, grammars
        self._ready.set()

    def _take(self, events: Events, standing: Standing) -> None:
        """Passes on what a step brought, and how the engine stands since."""
        self._admission.update(standing)
        self._pass_on(events)

    def _pass_on(self, events: Events) -> None:
        # A step that outlived its engine tells nobody any more.
        told = [(generation, event) for generation, event in events if generation in self._admission]
        for generation, event in told:
            if isinstance(event, End | Failed):
                self._admission.leave(generation)
        for generation, event in told:
            generation.sink(event)
