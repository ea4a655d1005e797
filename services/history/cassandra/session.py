"""The bridge between asyncio and the driver, which answers on threads of its own."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from cassandra import DriverException, RequestValidationException
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException

from services.chassis.telemetry import log
from services.history.cassandra.cluster import READ, REQUEST_SECONDS, WRITE, connect, unavailable
from services.history.cassandra.url import Address

logger = logging.getLogger(__name__)

Row = tuple[Any, ...]

MAX_REQUESTS = 256
"""Requests of one process in flight; more wait for their turn."""
DEFINE_SECONDS = 30.0
"""How long a change of the schema may take, until all nodes agree on it."""


class Session:
    """A connection to a cluster. Every method but `close` may raise DomainError UNAVAILABLE."""

    def __init__(self, driver: Any) -> None:
        """`driver` is a session of the driver, for this event loop alone."""
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(MAX_REQUESTS)

    async def read(
        self, statement: Any, values: Sequence[object] = (), *, seconds: float = REQUEST_SECONDS
    ) -> list[Row]:
        """Runs a query; it may be sent twice."""
        return await (await self._start(statement, values, READ, seconds)).result()

    async def read_each(self, statement: Any, many: Iterable[Sequence[object]]) -> list[list[Row]]:
        """Runs a query with several values, side by side."""
        calls = [await self._start(statement, values, READ, REQUEST_SECONDS) for values in many]
        return [await call.result() for call in calls]

    async def write(self, statement: Any, values: Sequence[object] | None = None) -> list[Row]:
        """Runs a statement; a conditional one returns one row that begins with whether it was applied."""
        return await (await self._start(statement, values, WRITE, REQUEST_SECONDS)).result()

    async def define(self, statement: str) -> None:
        """Changes the schema; returns when all nodes know."""
        with _as_unavailable():
            result = await asyncio.to_thread(self._driver.execute, statement, timeout=DEFINE_SECONDS)
        if not result.response_future.is_schema_agreed:
            raise unavailable("The store's nodes do not agree on their schema.")

    def prepare(self, statement: str) -> Any:
        """A statement that can be sent again where it is not known whether it was run. Blocks."""
        with _as_unavailable():
            prepared = self._driver.prepare(statement)
        prepared.is_idempotent = True
        prepared.fetch_size = None  # an answer is never cut: what may be long has a limit of its own
        return prepared

    def timestamp(self) -> int:
        """Microseconds; each is greater than those of all writes before."""
        return int(self._driver.cluster.timestamp_generator())

    async def close(self) -> None:
        await asyncio.to_thread(self._driver.cluster.shutdown)

    async def _start(self, statement: Any, values: Sequence[object] | None, profile: object, seconds: float) -> "_Call":
        await self._slots.acquire()
        call = _Call(self._loop, self._slots)
        try:
            future = self._driver.execute_async(statement, values, timeout=seconds, execution_profile=profile)
        except BaseException:
            self._slots.release()
            raise
        future.add_callbacks(call.answered, call.failed)
        return call


class _Call:
    """One request. It holds its slot until the driver is done with it, even where its caller has been cancelled."""

    def __init__(self, loop: asyncio.AbstractEventLoop, slots: asyncio.Semaphore) -> None:
        self._loop = loop
        self._slots = slots
        self._ended = False
        self._answer: asyncio.Future[tuple[list[Row], Exception | None]] = loop.create_future()

    def answered(self, rows: list[Row] | None) -> None:
        """Called on a thread of the driver: twice, where a second node was asked and both answered."""
        self._hand_over(rows or [], None)

    def failed(self, error: Exception) -> None:
        """As `answered`."""
        self._hand_over([], error)

    async def result(self) -> list[Row]:
        rows, error = await self._answer
        if error is None:
            return rows
        if isinstance(error, RequestValidationException):
            log(logger, logging.ERROR, "the store refused a statement", type=type(error).__name__)
        raise unavailable() from error

    def _hand_over(self, rows: list[Row], error: Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            self._loop.call_soon_threadsafe(self._end, rows, error)

    def _end(self, rows: list[Row], error: Exception | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._slots.release()
        if not self._answer.done():
            self._answer.set_result((rows, error))


async def open_session(address: Address) -> Session:
    """Connects, on a thread. Raises RefusedError, or DomainError UNAVAILABLE."""
    return Session(await asyncio.to_thread(connect, address))


@contextlib.asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """What is in it takes `seconds` at most. Raises DomainError UNAVAILABLE."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise unavailable() from error


@contextlib.contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except (DriverException, NoHostAvailable, ConnectionException) as error:
        raise unavailable() from error
