"""Events on their way to a reader: what gathers while it is busy is merged, so a slow reader gets larger deltas."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from services.inference.engine import Delta, End, Engine, Event, Failed, Queued, Request

TAKEN_TOKENS = 65_536
"""A taking ends after the events that reach so many tokens, told probabilities included: some 1 MB of a message."""


class Outbox:
    """Events of many generations for one reader. It holds at most a few events of each, however slow the reader."""

    def __init__(self) -> None:
        self._events: dict[str, list[Event]] = {}
        self._filled = asyncio.Event()

    def put(self, name: str, event: Event) -> None:
        events = self._events.setdefault(name, [])
        if events and isinstance(events[-1], Queued):
            events.pop()  # whatever came since says more
        if events and (merged := _merge(events[-1], event)):
            events[-1] = merged
        else:
            events.append(event)
        self._filled.set()

    @property
    def pending(self) -> bool:
        return bool(self._events)

    def wake(self) -> None:
        """Lets the reader look, though there may be nothing."""
        self._filled.set()

    async def take(self, seconds: float | None = None) -> list[tuple[str, Event]]:
        """What has gathered, in order for each generation; waits for something, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._filled.wait()
        taken: list[tuple[str, Event]] = []
        tokens = 0
        while self._events and tokens < TAKEN_TOKENS:
            name = next(iter(self._events))
            events = self._events.pop(name)
            taken += [(name, event) for event in events]
            tokens += sum(_size(event) for event in events if isinstance(event, Delta))
        if not self._events:
            self._filled.clear()
        return taken


def _size(delta: Delta) -> int:
    return len(delta.token_ids) + sum(1 + len(each.top) for each in delta.logprobs)


def _merge(earlier: Event, later: Event) -> Delta | None:
    if not isinstance(earlier, Delta) or not isinstance(later, Delta):
        return None
    return Delta(
        earlier.token_offset,
        earlier.token_ids + later.token_ids,
        earlier.text_offset,
        earlier.text + later.text,
        earlier.logprobs + later.logprobs,
    )


async def follow(engine: Engine, request: Request) -> AsyncGenerator[Queued | Delta | End]:
    """One generation's events. Closing the iterator cancels it. Raises what `Engine.start` does, or how it failed."""
    outbox = Outbox()
    cancel = await engine.start(request, lambda event: outbox.put("", event))
    try:
        while True:
            for _, event in await outbox.take():
                if isinstance(event, Failed):
                    raise event.error
                yield event
                if isinstance(event, End):
                    return
    finally:
        cancel()
