"""The stores of auth, by the scheme of their URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from services.auth.sql.database import Database
from services.auth.sql.store import sql_store
from services.auth.store import Store
from services.chassis.errors import DomainError
from services.chassis.process import RefusedError

_EMBEDDED = "sqlite"


def open_database(url: str, connections: int) -> Database:
    """The database that a store is in, for `async with`; it may be away, or lack its schema. Raises RefusedError."""
    match urlsplit(url).scheme:
        case "sqlite":
            from services.auth.sql.sqlite import sqlite_backend

            return Database(sqlite_backend(url, connections))
        case "postgresql" | "postgres":
            from services.auth.sql.postgres import postgres_backend

            return Database(postgres_backend(url, connections))
        case scheme:
            raise RefusedError(
                f"PARLEY_STORE_URL: {scheme or 'nothing'}:// is no store of auth; postgresql:// and sqlite:// are."
            )


@asynccontextmanager
async def checked_database(url: str) -> AsyncIterator[Database]:
    """A database that can be used, for a command that works on it alone. Raises RefusedError, also if it is away."""
    async with open_database(url, connections=1) as database:
        try:
            await database.check()
            yield database
        except DomainError as error:
            raise RefusedError(error.message) from None


@asynccontextmanager
async def open_store(url: str, connections: int) -> AsyncIterator[Store]:
    """Opens a store. Where it is a server, it may be away: its probe says so. Raises RefusedError."""
    async with open_database(url, connections) as database:
        if urlsplit(url).scheme == _EMBEDDED:
            await database.migrate()
        yield sql_store(database)
