import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.history.patience import patiently
from services.history.store import Store
from services.history.stores import migrate, open_store
from tests.servers import server


def in_keyspace(url: str, keyspace: str) -> str:
    """The URL of a keyspace of one copy, by the URL of its server."""
    parts = urlsplit(url)
    return parts._replace(path=f"/{keyspace}", query=f"{parts.query}&replication_factor=1").geturl()


async def migrated(url: str) -> None:
    """On a busy machine, too."""
    await patiently(partial(migrate, url))


def drop(url: str) -> None:
    from services.history.cassandra.cluster import connect
    from services.history.cassandra.url import parse

    session = connect(parse(url))
    session.execute(f"DROP KEYSPACE IF EXISTS {parse(url).keyspace}", timeout=30)
    session.cluster.shutdown()


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/history.sqlite"


@pytest.fixture(scope="session")
def cassandra_url() -> Iterator[str]:
    """A keyspace of this run alone, with its schema."""
    url = in_keyspace(server("cassandra").url, f"parley_test_{secrets.token_hex(4)}")
    asyncio.run(migrated(url))
    yield url
    drop(url)


@pytest.fixture(params=["sqlite", "cassandra"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A place for a store, of each kind."""
    url: str = request.getfixturevalue({"sqlite": "file_url", "cassandra": "cassandra_url"}[request.param])
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with open_store(store_url) as store:
        await patiently(store.check)
        yield store
