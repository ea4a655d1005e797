"""A generation on one replica, as whoever asked for it follows it."""

import asyncio
from collections.abc import AsyncIterator, Callable

from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import from_status


class ReplicaLostError(Exception):
    """The replica died or fell silent. What it was asked for goes on elsewhere."""


class Generation:
    """The events of one generation, oldest first. They gather while nobody reads; the reply's length bounds them."""

    def __init__(self, generation_id: str, tokens: int, send: Callable[[pb.GenerateManyRequest], None]) -> None:
        """`tokens` is what it is reckoned to take, prompt and reply together."""
        self.generation_id, self.tokens = generation_id, tokens
        self._send = send
        self._events: list[pb.GenerationEvent] = []
        self._news = asyncio.Event()
        self._lost = False

    def add(self, event: pb.GenerationEvent) -> None:
        self._events.append(event)
        self._news.set()

    def lose(self) -> None:
        self._lost = True
        self._news.set()

    def cancel(self) -> None:
        """Asks the engine to stop; an `end` follows once its slot is free."""
        self._send(pb.GenerateManyRequest(cancel=pb.CancelGeneration(generation_id=self.generation_id)))

    async def events(self) -> AsyncIterator[pb.GenerationEvent]:
        """Ends after `end`. Raises ReplicaLostError, or DomainError where the engine refused."""
        while True:
            await self._news.wait()
            self._news.clear()
            events, self._events = self._events, []
            for event in events:
                if event.HasField("failure"):
                    raise from_status(event.failure)
                yield event
                if event.HasField("end"):
                    return
            if self._lost:
                raise ReplicaLostError
