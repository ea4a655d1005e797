"""Whether the mesh shall end, how fast, and why."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

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
