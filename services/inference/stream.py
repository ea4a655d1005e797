"""One stream of GenerateMany: its generations are started and cancelled by one reader, and written together."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError
from services.inference.engine import Cancel, End, Engine, Event, Failed, Load, Request, invalid, overloaded
from services.inference.outbox import Outbox
from services.inference.wire import to_event, to_load

HEARTBEAT_SECONDS = 0.4
"""A response comes at least so often: the contract says half a second."""

Read = Callable[[pb.GenerateRequest], Request]
"""Checks a start. Raises DomainError."""


@dataclass(slots=True, eq=False)
class _Live:
    cancel: Cancel | None = None


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
        try:
            while self._live or self._outbox.pending or not reader.done():
                events = await self._outbox.take(HEARTBEAT_SECONDS)
                if reader.done():
                    reader.result()  # raises what was wrong with the commands
                before, told = told, self._load()
                yield pb.GenerateManyResponse(
                    events=[to_event(name, event) for name, event in events],
                    load=to_load(told) if not events or told != before else None,
                )
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            for live in self._live.values():
                if live.cancel:
                    live.cancel()

    async def _follow(self, commands: AsyncIterator[pb.GenerateManyRequest]) -> None:
        async for command in commands:
            match command.WhichOneof("command"):
                case "start":
                    await self._start(command.start)
                case "cancel":
                    live = self._live.get(command.cancel.generation_id)
                    if live and live.cancel:
                        live.cancel()

    async def _start(self, start: pb.GenerateRequest) -> None:
        name, live = start.generation_id, _Live()
        try:
            if name in self._live:
                self._abandon(name)
                raise invalid("generation_id", "must not name a generation that still lives on this stream")
            if len(self._live) >= self._limit:
                raise overloaded("The stream carries as many generations as it may.", retry_after=1)
            live.cancel = await self._engine.start(self._read(start), lambda event: self._put(name, live, event))
            self._live[name] = live
        except DomainError as error:
            self._outbox.put(name, Failed(error))

    def _abandon(self, name: str) -> None:
        """Cancels a generation of which nothing more shall be told."""
        live = self._live.pop(name)
        if live.cancel:
            live.cancel()

    def _put(self, name: str, live: _Live, event: Event) -> None:
        if self._live.get(name) is not live:
            return
        if isinstance(event, End | Failed):
            del self._live[name]
        self._outbox.put(name, event)
