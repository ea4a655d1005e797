"""An upstream under observation: whether it serves the model, and how long its queue is."""

import asyncio
import logging

from services.chassis.errors import DomainError, Reason
from services.chassis.telemetry import log
from services.inference.engine import ModelUnusableError
from services.inference.upstream.connection import Connection
from services.inference.upstream.dialect import Dialect
from services.inference.upstream.server import DIALECTS, check, describe, queue_length

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks."""
PATIENCE = 2
"""Looks in a row that fail before it counts as gone: a server that is only busy answers the next one."""


class Watch:
    def __init__(self, connection: Connection, model: str, kind: str | None, context_length: int) -> None:
        """`kind` is a key of DIALECTS, or None to find out; `context_length` a bound, or 0 for what is told."""
        self._connection, self._model, self._wanted, self._bound = connection, model, kind, context_length
        self._kind, self.context_length, self.queue_length = kind or "openai", 0, 0
        self._green, self._failures, self._why = asyncio.Event(), PATIENCE, "It was not asked yet."

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self._kind]

    @property
    def green(self) -> bool:
        return self._green.is_set()

    async def wait(self) -> None:
        """Returns while it is green."""
        await self._green.wait()

    def check(self) -> None:
        """Raises UNAVAILABLE while it is red."""
        if not self.green:
            raise DomainError(Reason.UNAVAILABLE, self._why)

    async def begin(self) -> None:
        """Returns once it is green for the first time. Raises ModelUnusableError."""
        while not self.green:
            await self._look()
            if not self.green:
                await asyncio.sleep(LOOK_SECONDS)

    async def run(self) -> None:
        """Looks for ever. Raises ModelUnusableError."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    def close(self) -> None:
        self._green.clear()
        self._why = "The engine stopped."

    async def _look(self) -> None:
        try:
            await check(self._connection)
            if not self.green:
                await self._describe()
            self.queue_length = await queue_length(self._connection, self.dialect)
        except ModelUnusableError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it answered, it is no upstream as long as it does
            self._failures += 1
            self._why = error.message if isinstance(error, DomainError) else "The upstream answers what none does."
            if self.green and self._failures >= PATIENCE:
                log(logger, logging.WARNING, "the upstream is gone", why=self._why)
                self._green.clear()
        else:
            self._failures = 0

    async def _describe(self) -> None:
        described = await describe(self._connection, self._model, self._wanted)
        lengths = [length for length in (described.context_length, self._bound) if length]
        if not lengths and self.context_length:
            raise DomainError(Reason.UNAVAILABLE, "The upstream does not tell its context length any more.")
        if not lengths:
            raise ModelUnusableError(
                f"{self._model}: the upstream does not tell its context length. Set PARLEY_UPSTREAM_CONTEXT_LENGTH."
            )
        self._kind, self.context_length = described.kind, min(lengths)
        self._green.set()
        log(logger, logging.INFO, "the upstream serves", kind=self._kind, context_length=self.context_length)
