"""A SQL database: acknowledged means on disk, and whoever is cancelled harms nobody.

Work runs in threads of its own, a transaction in one piece: going back to the event loop between two statements would
take longer than the statements.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, Executable, Row, Table, exc, text

from services.auth.sql.backend import Backend, Insert
from services.auth.sql.schema import migrate, require_schema
from services.auth.sql.snapshot import Snapshot
from services.auth.sql.threads import Threads
from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError
from services.chassis.schema import Schema
from services.chassis.telemetry import log

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Connection], T]
Values = Mapping[str, object]
NONE: Values = {}

WAIT_SECONDS = 5.0
"""How long anybody waits, in all; a connection that is silent for so long is given up."""
MIGRATION_SECONDS = 60.0
"""As long as the command that migrates has patience."""
ATTEMPTS = 3
"""How often a transaction is begun that gave way to another."""

_GAVE_WAY = frozenset({"40001", "40P01"})
"""SQLSTATE of a serialization failure and of a deadlock."""


class Database:
    """Until a check has passed, or it was migrated, everything else is UNAVAILABLE."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._threads = Threads(backend.threads)
        self._usable = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._threads.close()
        self._backend.reader.dispose()
        self._backend.writer.dispose()

    async def rows(self, query: Executable, values: Values = NONE) -> Sequence[Row[Any]]:
        """What a query finds in one view of what is committed. Raises DomainError UNAVAILABLE."""
        self._require_usable()
        return await self._read(lambda connection: connection.execute(query, values).all())

    async def row(self, query: Executable, values: Values = NONE) -> Row[Any] | None:
        """The one row that a query finds, or none. Raises DomainError UNAVAILABLE."""
        rows = await self.rows(query, values)
        return rows[0] if rows else None

    async def write(self, statement: Executable, values: Values = NONE) -> int:
        """Runs a statement, durably, and returns how many rows it changed. Raises DomainError UNAVAILABLE."""
        self._require_usable()

        def change(connection: Connection) -> int:
            return connection.execute(statement, values).rowcount

        return await self._write(self._backend.single, change, WAIT_SECONDS)

    async def transaction(self, work: Work[T]) -> T:
        """Statements that count together or not at all. Raises DomainError UNAVAILABLE.

        A transaction that gives way to another is begun again, so the work may be done more than once. It is for the
        work to lock what must not change between its statements.
        """
        self._require_usable()
        return await self._write(self._backend.writer, work, WAIT_SECONDS)

    def insert(self, table: Table) -> Insert:
        """An INSERT that can say ON CONFLICT, and says how many rows it wrote."""
        return self._backend.insert(table).execution_options(preserve_rowcount=True)

    async def check(self) -> None:
        """Raises DomainError UNAVAILABLE while the database cannot be used.

        Until it could be used once, raises RefusedError where only a change of the configuration or the release helps.
        """
        if self._usable:
            await self._read(lambda connection: connection.execute(text("SELECT 1")).all())
        else:
            await self._read(require_schema)
            self._usable = True

    async def migrate(self) -> tuple[Schema, Schema]:
        """Brings the schema up to date; returns it as it was and as it is. Raises as `check`."""
        backend = self._backend
        changed = await self._write(
            backend.writer, lambda connection: migrate(connection, backend.alone), MIGRATION_SECONDS
        )
        self._usable = True
        return changed

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """One state of everything, as long as the block runs. Raises DomainError UNAVAILABLE."""
        self._require_usable()
        with self._in_plain_words():
            async with self._backend.reading, Snapshot(self._backend) as snapshot:
                yield snapshot

    async def _read(self, work: Work[T]) -> T:
        def run() -> T:
            with self._backend.reader.connect() as connection:
                return work(connection)

        return await self._in_turn(self._backend.reading, run, WAIT_SECONDS)

    async def _write(self, engine: Engine, work: Work[T], seconds: float) -> T:
        def run(attempts: int = ATTEMPTS) -> T:
            try:
                with engine.begin() as connection:
                    return work(connection)
            except exc.DBAPIError as error:
                if attempts == 1 or _sqlstate(error) not in _GAVE_WAY:
                    raise
            return run(attempts - 1)

        return await self._in_turn(self._backend.writing, run, seconds)

    async def _in_turn(self, turns: asyncio.Semaphore, run: Callable[[], T], seconds: float) -> T:
        with self._in_plain_words():
            async with asyncio.timeout(seconds):
                await turns.acquire()
                # What has begun has its turn until it ends, also when who asked for it is gone.
                return await self._threads.run(run, seconds, turns.release)

    def _require_usable(self) -> None:
        if not self._usable:
            raise _unavailable()

    @contextmanager
    def _in_plain_words(self) -> Iterator[None]:
        try:
            yield
        except exc.IntegrityError:
            raise  # the store's own business
        except exc.DBAPIError as error:
            if not self._usable and (refusal := self._backend.refusal(error)):
                raise RefusedError(f"PARLEY_STORE_URL: {refusal}") from None
            log(logger, logging.INFO, "store failed", type=type(error.orig).__name__, sqlstate=_sqlstate(error))
            raise _unavailable() from error
        except (exc.TimeoutError, TimeoutError) as error:
            raise _unavailable() from error


def _sqlstate(error: exc.DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _unavailable() -> DomainError:
    return DomainError(Reason.UNAVAILABLE, "The store is not available.", retry_after=1)
