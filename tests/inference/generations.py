"""Requests for tests, and generations as tests look at them."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from services.inference.engine import (
    Cancel,
    ChatMessage,
    Delta,
    End,
    Engine,
    Event,
    Failed,
    Parameters,
    Request,
    Role,
)
from services.inference.outbox import follow

E = TypeVar("E", bound=Event)

SECONDS = 100.0
"""Nothing takes so long."""


def chat(*texts: str) -> tuple[ChatMessage, ...]:
    """A chat in which a person and the model take turns."""
    return tuple(ChatMessage((Role.USER, Role.ASSISTANT)[place % 2], text) for place, text in enumerate(texts))


def parameters(
    *, temperature: float = 0.9, top_p: float = 0.95, tokens: int = 40, stop: tuple[str, ...] = (), seed: int = 1
) -> Parameters:
    return Parameters(temperature, top_p, tokens, stop, seed)


@dataclass(frozen=True, slots=True)
class Reply:
    """A generation that ended."""

    deltas: tuple[Delta, ...]
    end: End

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(token for delta in self.deltas for token in delta.token_ids)

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)


async def generate(engine: Engine, request: Request) -> Reply:
    deltas: list[Delta] = []
    async with asyncio.timeout(SECONDS), aclosing(follow(engine, request)) as events:
        async for event in events:
            if isinstance(event, Delta):
                deltas.append(event)
    assert isinstance(event, End)
    return Reply(tuple(deltas), event)


class Watched:
    """A generation that is under way."""

    def __init__(self) -> None:
        self.cancel: Cancel = lambda: None
        self.last: End | Failed | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, event: Event) -> None:
        assert self.last is None, "something came after the last event"
        if isinstance(event, End | Failed):
            self.last = event
        self._events.put_nowait(event)

    async def until(self, *kinds: type[E]) -> E:
        """The next event of these kinds."""
        async with asyncio.timeout(SECONDS):
            while True:
                event = await self._events.get()
                if isinstance(event, kinds):
                    return event

    async def ended(self) -> End | Failed:
        """The last event."""
        last: End | Failed = self.last or await self.until(End, Failed)  # type: ignore[assignment]
        return last


async def start(engine: Engine, request: Request) -> Watched:
    watched = Watched()
    watched.cancel = await engine.start(request, watched.put)
    return watched
