"""Operations of the driver: so many at once, each brought to its end whatever becomes of its caller.

An operation that is cancelled on its way costs the driver the connection that it runs on, and may leave one open that
it was opening. So a caller that gives up leaves its operation behind: it ends in time, and nobody gets its answer. One
that still waits for its turn is not begun.
"""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import pymongo

from services.metadata.mongodb.client import OPERATION_MILLISECONDS, unavailable

T = TypeVar("T")

MAX_WAITING = 2_000
"""More than can have their turn in time; what comes on top is refused at once."""


class Calls:
    """Owns the operations that run. Leave it before their client."""

    def __init__(
        self, at_once: int, *, most_waiting: int = MAX_WAITING, milliseconds: int = OPERATION_MILLISECONDS
    ) -> None:
        """`at_once` is how many connections there are."""
        self._free = asyncio.Semaphore(at_once)
        self._waiting, self._most_waiting = 0, most_waiting
        self._seconds = milliseconds / 1000
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, operation: Coroutine[Any, Any, T]) -> T:
        """Takes up to `milliseconds`, the wait included. Raises what the operation raises, and UNAVAILABLE."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        try:
            await self._turn(end)
        except BaseException:
            operation.close()
            raise
        task = loop.create_task(_until(end - loop.time(), operation))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _turn(self, end: float) -> None:
        if self._waiting >= self._most_waiting:
            raise unavailable()
        self._waiting += 1
        try:
            async with asyncio.timeout_at(end):
                await self._free.acquire()
        except TimeoutError:
            raise unavailable() from None
        finally:
            self._waiting -= 1

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._free.release()
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # is seen, where its caller is gone

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for what was left behind."""
        if self._running:
            await asyncio.wait(self._running)


async def _until(seconds: float, operation: Coroutine[Any, Any, T]) -> T:
    with pymongo.timeout(max(seconds, 0.001)):
        return await operation
