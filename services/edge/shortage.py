"""A process that may open no more files: whoever is connected is served, whoever knocks waits, and the log says so."""

import asyncio
import errno
import logging
import time
from typing import Any

from services.chassis.telemetry import log

logger = logging.getLogger(__name__)

SAY_SECONDS = 5.0
"""Between two lines about it. The event loop tells of each knock by itself, thousands of times a second."""
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Shortage:
    """An exception handler for an event loop."""

    def __init__(self) -> None:
        self._said = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _SHORT:
            loop.default_exception_handler(context)
        elif time.monotonic() - self._said > SAY_SECONDS:
            self._said = time.monotonic()
            log(logger, logging.WARNING, "connections wait", why=errno.errorcode[error.errno])
