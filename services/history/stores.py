"""The stores of history, by the scheme of their URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from services.chassis.process import RefusedError
from services.chassis.schema import Schema
from services.chassis.sqlite import Database, migrate_file
from services.history.sqlite import MIGRATIONS, SqliteStore
from services.history.store import Store


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """Opens a store. Where it is a server, it may be away: its `check` says so. Raises RefusedError."""
    match urlsplit(url).scheme:
        case "sqlite":
            async with Database(url, MIGRATIONS) as database:
                yield SqliteStore(database)
        case "cassandra":
            from services.history.cassandra.store import open_cassandra  # whose driver nobody else loads

            async with open_cassandra(url) as store:
                yield store
        case scheme:
            raise _no_store(scheme)


async def migrate(url: str) -> tuple[Schema, Schema]:
    """Brings a store's schema up to date; returns it as it was and as it is. Raises RefusedError and DomainError."""
    match urlsplit(url).scheme:
        case "sqlite":
            return await migrate_file(url, MIGRATIONS)
        case "cassandra":
            from services.history.cassandra.schema import migrate_cassandra

            return await migrate_cassandra(url)
        case scheme:
            raise _no_store(scheme)


def _no_store(scheme: str) -> RefusedError:
    return RefusedError(
        f"PARLEY_STORE_URL: {scheme or 'nothing'}:// is no store of history; sqlite:// and cassandra:// are."
    )
