"""One stream of GenerateMany: its generations are started and cancelled by one reader, and written together."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError
from services.chassis.tick import pause_after
from services.inference.engine import Cancel, End, Engine, Event, Failed, Load, Request, invalid, overloaded
from services.inference.outbox import Outbox
from services.inference.wire import to_event, to_load

HEARTBEAT_SECONDS = 0.4
"""A response comes at least so often: the contract says half a second."""
TICK_SECONDS = 0.02
"""The least time between two responses with events: reading one costs the peer more than what is in it. An engine whose
steps take longer is told of step by step."""

Read = Callable[[pb.GenerateRequest], Request]
"""Checks a start. Raises DomainError."""


@dataclass(slots=True, eq=False)
class _Live:
    _cancel: Cancel | None = None
    _stopped: bool = False

    def started(self, cancel: Cancel) -> None:
        self._cancel = cancel
        if self._stopped:
            cancel()

    def stop(self) -> None:
        """Also one that is still being started: then as soon as it is."""
        self._stopped = True
        if self._cancel:
            self._cancel()


class GenerationStream:
    def __init__(self, engine: Engine, read: Read, load: Callable[[], Load], limit: int) -> None:
        """`limit` bounds the generations that live at once."""
        self._engine, self._read, self._load, self._limit = engine, read, load, limit
        self._live: dict[str, _Live] = {}
        self._outbox = Outbox()

    async def responses(
        self, commands: AsyncIterator[pb.GenerateManyRequest]
    ) -> AsyncGenerator[pb.GenerateManyResponse]:
        """Serves until the commands end and then the generations do; closed before, it cancels them."""
        reader = asyncio.create_task(self._follow(commands))
        reader.add_done_callback(lambda _: self._outbox.wake())
        told: Load | None = None
        written = time.monotonic()
        try:
            while self._live or self._outbox.pending or not reader.done():
                events = await self._outbox.take(max(0.0, written + HEARTBEAT_SECONDS - time.monotonic()))
                began = time.monotonic()
                if reader.done():
                    reader.result()  # raises what was wrong with the commands
                before, told = told, self._load()
                yield pb.GenerateManyResponse(
                    events=[to_event(name, event) for name, event in events],
                    load=to_load(told) if not events or told != before else None,
                )
                written = time.monotonic()
                if events:
                    await asyncio.sleep(pause_after(began, TICK_SECONDS))
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            for live in self._live.values():
                live.stop()

    async def _follow(self, commands: AsyncIterator[pb.GenerateManyRequest]) -> None:
        try:
            # Side by side, so that a prompt or a schema that takes long holds up no other start, and no cancellation.
            async with asyncio.TaskGroup() as starting:
                async for command in commands:
                    match command.WhichOneof("command"):
                        case "start":
                            if live := self._enter(command.start.generation_id):
                                starting.create_task(self._start(command.start, live))
                        case "cancel":
                            if live := self._live.get(command.cancel.generation_id):
                                live.stop()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    def _enter(self, name: str) -> _Live | None:
        """A place for a generation, or None where it is refused."""
        if earlier := self._live.pop(name, None):
            earlier.stop()  # nothing more is told of it
            refusal = invalid("generation_id", "must not name a generation that still lives on this stream")
        elif len(self._live) >= self._limit:
            refusal = overloaded("The stream carries as many generations as it may.", retry_after=1)
        else:
            live = self._live[name] = _Live()
            return live
        self._outbox.put(name, Failed(refusal))
        return None

    async def _start(self, start: pb.GenerateRequest, live: _Live) -> None:
        name = start.generation_id
        try:
            cancel = await self._engine.start(self._read(start), lambda event: self._put(name, live, event))
        except DomainError as error:
            self._put(name, live, Failed(error))
        else:
            live.started(cancel)

    def _put(self, name: str, live: _Live, event: Event) -> None:
        if self._live.get(name) is not live:
            return
        if isinstance(event, End | Failed):
            del self._live[name]
        self._outbox.put(name, event)
