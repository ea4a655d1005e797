"""The stores of metadata, by the scheme of their URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from services.chassis.process import RefusedError
from services.chassis.sqlite import Database
from services.metadata.sqlite import MIGRATIONS, SqliteStore
from services.metadata.store import Store


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """Opens a store. Where it is a server, it may be away: its `check` says so. Raises RefusedError."""
    match urlsplit(url).scheme:
        case "sqlite":
            async with Database(url, MIGRATIONS) as database:
                yield SqliteStore(database)
        case scheme:
            raise RefusedError(f"PARLEY_STORE_URL: {scheme or 'nothing'}:// is no store of metadata; sqlite:// is.")
