"""The stores of auth, by the scheme of their URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from services.auth.sql.database import Database
from services.auth.sql.store import sql_store
from services.auth.store import Store
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


def open_alone(url: str) -> Database:
    """The same for a command, which does one thing after the other."""
    return open_database(url, connections=1)


@asynccontextmanager
async def open_store(url: str, connections: int) -> AsyncIterator[Store]:
    """Opens a store. Where it is a server, it may be away: its probe says so. Raises RefusedError."""
    async with open_database(url, connections) as database:
        if urlsplit(url).scheme == _EMBEDDED:
            await database.migrate()
        yield sql_store(database)
