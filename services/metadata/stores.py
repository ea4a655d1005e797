"""The stores of metadata, by the scheme of their URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from services.chassis.process import RefusedError
from services.chassis.schema import Schema
from services.chassis.sqlite import Database, migrate_file
from services.metadata.sqlite import MIGRATIONS, SqliteStore
from services.metadata.store import Store


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """Opens a store. Where it is a server, it may be away: its `check` says so. Raises RefusedError."""
    match urlsplit(url).scheme:
        case "sqlite":
            async with Database(url, MIGRATIONS) as database:
                yield SqliteStore(database)
        case "mongodb" | "mongodb+srv":
            from services.metadata.mongodb.store import open_mongodb  # whose driver nobody else loads

            async with open_mongodb(url) as store:
                yield store
        case scheme:
            raise _no_store(scheme)


async def migrate(url: str) -> tuple[Schema, Schema]:
    """Brings the schema of a store up to date; returns it as it was and as it is. Raises RefusedError, UNAVAILABLE."""
    match urlsplit(url).scheme:
        case "sqlite":
            return await migrate_file(url, MIGRATIONS)
        case "mongodb" | "mongodb+srv":
            from services.metadata.mongodb.schema import migrate_mongodb

            return await migrate_mongodb(url)
        case scheme:
            raise _no_store(scheme)


def _no_store(scheme: str) -> RefusedError:
    known = "sqlite://, mongodb:// and mongodb+srv:// are"
    return RefusedError(f"PARLEY_STORE_URL: {scheme or 'nothing'}:// is no store of metadata; {known}.")
