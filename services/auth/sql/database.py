"""A SQL database: acknowledged means on disk, writes come one after another, and whoever is cancelled harms nobody.

Work runs in threads of its own, a transaction in one piece: going back to the event loop between two statements would
take longer than the statements.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, Executable, Row, Table, create_engine, event, exc, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import QueuePool

from services.auth.sql.tables import SCHEMA_VERSION, metadata
from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError
from services.chassis.sqlite import BUSY_MILLISECONDS

T = TypeVar("T")
Work = Callable[[Connection], T]

WAIT_SECONDS = 5.0
"""How long a statement waits for its turn."""

_PREFIX = "sqlite:///"
_POOL: dict[str, Any] = {
    "poolclass": QueuePool,
    "max_overflow": 0,
    "pool_timeout": WAIT_SECONDS,
    "hide_parameters": True,
    # A connection may serve one thread after the other.
    "connect_args": {"check_same_thread": False},
}


class Database:
    """One SQLite file. Several processes may use it."""

    def __init__(self, url: str, connections: int) -> None:
        """`url` is sqlite:///relative/path or sqlite:////absolute/path; up to `connections` read at once."""
        if not url.startswith(_PREFIX):
            raise ValueError("the store's URL starts with sqlite:///")
        self._path = Path(url.removeprefix(_PREFIX))
        # SQLite has one writer: those of this process take turns, those of others wait for the file.
        self._writer, self._writing = _writer(self._path), asyncio.Semaphore(1)
        self._reader, self._reading = _reader(self._path, connections), asyncio.Semaphore(connections)
        self._threads = ThreadPoolExecutor(connections + 1, "database")
        self._running: set[asyncio.Future[Any]] = set()

    async def __aenter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        async with AsyncExitStack() as opened:
            opened.push_async_callback(self._close)
            await self.transaction(self._migrate)
            opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def rows(self, query: Executable) -> Sequence[Row[Any]]:
        """What a query finds in one view of what is committed. Raises DomainError UNAVAILABLE."""

        def read() -> Sequence[Row[Any]]:
            with self._reader.connect() as connection:
                return connection.execute(query).all()

        return await self._in_turn(self._reading, read)

    async def row(self, query: Executable) -> Row[Any] | None:
        """The one row that a query finds, or none. Raises DomainError UNAVAILABLE."""
        rows = await self.rows(query)
        return rows[0] if rows else None

    async def write(self, statement: Executable) -> int:
        """Runs a statement, durably, and returns how many rows it changed. Raises DomainError UNAVAILABLE."""

        def change(connection: Connection) -> int:
            return connection.execute(statement).rowcount

        return await self.transaction(change)

    async def transaction(self, work: Work[T]) -> T:
        """Statements that count together or not at all. Raises DomainError UNAVAILABLE.

        Nobody else writes between the first of them and the last.
        """

        def run() -> T:
            with self._writer.begin() as connection:
                return work(connection)

        return await self._in_turn(self._writing, run)

    def insert(self, table: Table) -> sqlite.Insert:
        """An INSERT that can say ON CONFLICT: SQLAlchemy has it for each dialect, but not for all of them."""
        return sqlite.insert(table)

    async def check(self) -> None:
        """Raises DomainError UNAVAILABLE if the file cannot be read."""
        await self.rows(text("SELECT 1"))

    async def _in_turn(self, turns: asyncio.Semaphore, run: Callable[[], T]) -> T:
        with _as_unavailable():
            async with asyncio.timeout(WAIT_SECONDS):
                await turns.acquire()
            # What has begun is finished, and has its turn until then, also when who asked for it is gone.
            task = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self._threads, run))
            self._running.add(task)
            task.add_done_callback(lambda task: self._end(task, turns))
            return await asyncio.shield(task)

    def _end(self, task: asyncio.Future[Any], turns: asyncio.Semaphore) -> None:
        turns.release()
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # is seen, also when nobody waits for it any more

    async def _close(self) -> None:
        if self._running:
            await asyncio.wait(self._running)
        self._threads.shutdown()
        self._reader.dispose()
        self._writer.dispose()

    def _migrate(self, connection: Connection) -> None:
        version = connection.scalar(text("PRAGMA user_version"))
        if version > SCHEMA_VERSION:
            raise RefusedError(f"{self._path} has schema {version}; this release knows {SCHEMA_VERSION}")
        if version < SCHEMA_VERSION:
            metadata.create_all(connection, checkfirst=False)
            connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))


def _writer(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", pool_size=1, **_POOL)
    _prepare(engine)

    # Python's driver would begin where it guesses that it should; here every transaction is begun by name.
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _reader(path: Path, connections: int) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=connections,
        # A single query needs no transaction.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
        **_POOL,
    )
    _prepare(engine, "query_only = ON")
    return engine


def _prepare(engine: Engine, *more: str) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (f"busy_timeout = {BUSY_MILLISECONDS}", "journal_mode = WAL", "synchronous = FULL", *more):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except exc.IntegrityError:
        raise  # the store's own business
    except (exc.DBAPIError, exc.TimeoutError, TimeoutError) as error:
        raise DomainError(Reason.UNAVAILABLE, "The store is not available.", retry_after=1) from error
