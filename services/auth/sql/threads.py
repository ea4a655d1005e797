"""Threads in which a database is worked on: what has begun is finished, unless it takes too long."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Line:
    """The connection that a thread works on, where another thread can cut it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cut: Callable[[], None] | None = None
        self._is_cut = False

    def hold(self, cut: Callable[[], None]) -> None:
        """From now on `cut` ends what the thread waits for; at once, if its time is over."""
        with self._lock:
            self._cut = cut
            if self._is_cut:
                cut()

    def let_go(self) -> None:
        """The connection is somebody else's from now on."""
        with self._lock:
            self._cut = None

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            if self._cut:
                self._cut()


_here = threading.local()


def line() -> Line:
    """The line of the work that this thread does."""
    found: Line = _here.line
    return found


class Threads:
    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, "database")
        self._running: set[asyncio.Future[Any]] = set()

    async def run(
        self,
        work: Callable[[], T],
        seconds: float,
        after: Callable[[], None] = lambda: None,
        on: Line | None = None,
    ) -> T:
        """What the work returns. It goes on when the caller is gone, and calls `after` in the event loop at its end.

        After so many seconds its line is cut; `on` is the line of work that keeps its connection from call to call.
        """
        own = on or Line()
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._pool, _on, own, work)
        watch = loop.call_later(seconds, own.cut)

        def end(ended: asyncio.Future[Any]) -> None:
            watch.cancel()
            self._running.discard(ended)
            after()
            if not ended.cancelled():
                ended.exception()  # is seen, also when nobody waits for it any more

        self._running.add(running)
        running.add_done_callback(end)
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Waits for what has begun."""
        if self._running:
            await asyncio.wait(self._running)
        self._pool.shutdown()


def _on(own: Line, work: Callable[[], T]) -> T:
    _here.line = own
    return work()
