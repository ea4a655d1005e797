"""How far something has come that takes its time: a bar on a terminal, lines in a log."""

import logging
import sys
import time
from types import TracebackType
from typing import TextIO

from services.chassis.telemetry import log

logger = logging.getLogger(__name__)

LINE_SECONDS = 3.0
"""Between two lines of a log; what is done sooner says nothing."""
BAR_SECONDS = 0.1
_BAR_WIDTH = 30


class Progress:
    """Told from one thread, inside its `with` block."""

    def __init__(self, what: str, total: float, stream: TextIO | None = None) -> None:
        """`total` is in any unit, that of `add`."""
        self._what, self._total, self._done = what, max(total, 1), 0.0
        self._stream = stream or sys.stderr
        self._bar = self._stream.isatty()
        self._told = self._began = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def add(self, amount: float) -> None:
        self.to(self._done + amount)

    def to(self, done: float) -> None:
        """Never goes back."""
        self._done = min(max(done, self._done), self._total)
        now = time.monotonic()
        if now - self._told < (BAR_SECONDS if self._bar else LINE_SECONDS):
            return
        self._told = now
        percent = int(100 * self._done / self._total)
        if self._bar:
            filled = "━" * (percent * _BAR_WIDTH // 100)
            self._stream.write(f"\r\x1b[K{self._what} {filled:─<{_BAR_WIDTH}} {percent} %")
            self._stream.flush()
        else:
            log(logger, logging.INFO, self._what, percent=percent, seconds=round(now - self._began))
