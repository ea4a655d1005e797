"""A store of metadata by its URL, ready to be used."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pymongo import MongoClient

from services.chassis.errors import DomainError
from services.metadata.store import Store
from services.metadata.stores import migrate, open_store
from tests.servers import server


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """With its schema up to date, and checked."""
    await migrate(url)
    async with open_store(url) as store:
        await store.check()
        yield store


async def until_ready(store: Store) -> None:
    while True:
        try:
            return await store.check()
        except DomainError:
            await asyncio.sleep(0.05)


@contextmanager
def new_database() -> Iterator[str]:
    """The URL of an empty database on the real server."""
    url = urlsplit(server("mongodb").url)._replace(path=f"/parley_test_{secrets.token_hex(6)}").geturl()
    yield url
    with MongoClient[dict[str, object]](url) as client:
        client.drop_database(client.get_default_database())


@contextmanager
def new_place(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty place for a store, in a file or on the real server."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/metadata.sqlite"
    else:
        with new_database() as url:
            yield url


def by_port(url: str, port: int) -> str:
    """The same by another port of this machine."""
    return urlsplit(url)._replace(netloc=f"127.0.0.1:{port}").geturl()


def as_user(url: str, login: str) -> str:
    """The same as a user, `name:password`."""
    return url.replace("://", f"://{login}@")
