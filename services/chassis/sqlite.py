"""A SQLite database as the embedded stores use it: acknowledged means on disk, readers never wait for the writer."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import aiosqlite

from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError
from services.chassis.schema import Schema

Values = Sequence[object] | Mapping[str, object]

BUSY_MILLISECONDS = 5_000
"""How long a write waits for another process's."""

_PREFIX = "sqlite:///"
_PRIMARY_CODE = 0xFF
_NO_DATABASE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN)


class Database:
    """One file. Each statement is its own transaction unless it runs inside `transaction()`."""

    def __init__(self, url: str, migrations: Sequence[str]) -> None:
        """`url` as in `file_of`, whose errors opening raises; `migrations[n]` leads from version n to n+1."""
        self._url, self._migrations = url, migrations
        self._writing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._path = file_of(self._url)
        async with AsyncExitStack() as opened:
            self._writer = await opened.enter_async_context(self._connect())
            await self._migrate()
            self._reader = await opened.enter_async_context(self._connect())
            await self._reader.execute("PRAGMA query_only = ON")
            self._opened = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def read(self, statement: str, values: Values = ()) -> list[sqlite3.Row]:
        """Runs a query on what is committed. Raises DomainError UNAVAILABLE."""
        with _as_unavailable():
            return list(await self._reader.execute_fetchall(statement, values))

    async def write(self, statement: str, values: Values = ()) -> int:
        """Runs one statement, durably, and returns how many rows it changed. Raises DomainError UNAVAILABLE."""
        with _as_unavailable():
            async with self._writing:
                return (await self._writer.execute(statement, values)).rowcount

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Several statements that count together or not at all. Raises DomainError UNAVAILABLE."""
        with _as_unavailable():
            async with self._writing:
                # A caller that is cancelled at any await must not leave the next one inside its transaction: statements
                # run in the order in which they were handed over, cancelled or not.
                try:
                    await self._writer.execute("BEGIN IMMEDIATE")
                    yield self._writer
                    await self._writer.execute("COMMIT")
                except BaseException:
                    await asyncio.shield(self._roll_back())
                    raise

    async def _roll_back(self) -> None:
        with suppress(sqlite3.OperationalError):  # it never began, or is committed
            await self._writer.execute("ROLLBACK")

    async def check(self) -> None:
        """Raises DomainError UNAVAILABLE if the file cannot be read."""
        await self.read("SELECT 1")

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[aiosqlite.Connection]:
        async with aiosqlite.connect(self._path, isolation_level=None) as connection:
            connection.row_factory = sqlite3.Row
            await connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute("PRAGMA synchronous = FULL")
            yield connection

    async def _migrate(self) -> None:
        async with self.transaction() as connection:
            version = next(row[0] for row in await connection.execute_fetchall("PRAGMA user_version"))
            if version > len(self._migrations):
                raise RefusedError(f"{self._path} has schema {version}; this release knows {len(self._migrations)}.")
            for script in self._migrations[version:]:
                for statement in filter(str.strip, script.split(";")):
                    await connection.execute(statement)
            await connection.execute(f"PRAGMA user_version = {len(self._migrations)}")


async def migrate_file(url: str, migrations: Sequence[str]) -> tuple[Schema, Schema]:
    """Opening a file brings its schema up to date; returns it as it was and as it is. Raises RefusedError."""
    before, after = _version(file_of(url)), len(migrations)
    async with Database(url, migrations):
        return Schema(before, works_from=before), Schema(after, works_from=after)


def file_of(url: str) -> Path:
    """The file of sqlite:///relative/path or sqlite:////absolute/path, which is there from now on.

    Raises RefusedError where there can be none, or one that is no database.
    """
    if not url.startswith(_PREFIX):
        raise RefusedError(f"PARLEY_STORE_URL: a file's starts with {_PREFIX}")
    path = Path(url.removeprefix(_PREFIX))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        _version(path)
    except OSError as error:
        raise RefusedError(f"PARLEY_STORE_URL: {path} cannot be opened: {error.strerror}.") from None
    except sqlite3.DatabaseError as error:  # else it is busy: who works on it waits
        if error.sqlite_errorcode & _PRIMARY_CODE in _NO_DATABASE:
            raise RefusedError(f"PARLEY_STORE_URL: {path} is no database.") from None
    return path


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # the store's own business
    except sqlite3.Error as error:
        raise DomainError(Reason.UNAVAILABLE, "The store is not available.", retry_after=1) from error
