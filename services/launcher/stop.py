"""Whether the mesh shall end, how fast, and why."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress

from services.launcher.refusal import RefusalError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        """Set when the person has lost patience."""
        self.reason: RefusalError | None = None
        """None where a person asked."""

    def because(self, reason: RefusalError) -> None:
        if not self.asked.is_set():
            self.reason = reason
            self.asked.set()

    async def unless(self, work: Coroutine[None, None, None]) -> None:
        """Does this first; when it is asked to stop, the work is cancelled."""
        working, asked = asyncio.create_task(work), asyncio.create_task(self.asked.wait())
        try:
            await asyncio.wait((working, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """The first signal asks; the second does not wait."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        (self.at_once if self.asked.is_set() else self.asked).set()
