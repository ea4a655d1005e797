"""What one process says: whole in a file of bounded size, readable on the screen."""

import asyncio
import logging
import re
import time
from collections import deque
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from services.launcher.line import Filter, read_line
from services.launcher.program import Program
from services.launcher.screen import Screen

FILE_BYTES = 10_000_000
"""A log file that grows over this becomes `.1`, in place of the one before."""
LINE_BYTES = 64 * 1024
"""A longer line is cut into several."""
LAST_WORDS = 20
"""Lines that are remembered for when the process ends."""
PROGRESS_SECONDS = 2.0
"""Between two lines of a progress bar on the screen."""
_END = re.compile(rb"(\r\n|\n|\r)")


class _File(RotatingFileHandler):
    """What a full disk has no room for is not written: the mesh goes on without it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base's name
        del record

    def close(self) -> None:
        with suppress(OSError):
            super().close()


class Output:
    def __init__(self, program: Program, path: Path, screen: Screen, shown: Filter) -> None:
        self._program, self._screen, self._filter = program, screen, shown
        self._file = _File(path, maxBytes=FILE_BYTES, backupCount=1, encoding="utf-8", delay=True)
        self._next_progress = 0.0
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)

    async def follow(self, stream: asyncio.StreamReader) -> None:
        """Takes everything from a process that was just started, until it has ended."""
        self.last_words.clear()
        rest = b""
        while chunk := await stream.read(LINE_BYTES):
            *pieces, rest = _END.split(rest + chunk)
            for text, end in zip(pieces[::2], pieces[1::2], strict=True):
                self._take(text, passing=end == b"\r")
            if len(rest) >= LINE_BYTES:
                self._take(rest)
                rest = b""
        self._take(rest)

    def close(self) -> None:
        self._file.close()

    def _take(self, data: bytes, *, passing: bool = False) -> None:
        raw = data.decode(errors="backslashreplace")
        if not raw.strip():
            return
        self._file.emit(logging.makeLogRecord({"msg": raw}))
        if passing and time.monotonic() < self._next_progress:
            return
        if passing:
            self._next_progress = time.monotonic() + PROGRESS_SECONDS
        line = read_line(raw)
        self.last_words.append(line.text)
        if self._filter.passes(line, quiet=self._program.quiet):
            self._screen.show(self._program.label, line)
