import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.auth.store import Store
from services.auth.stores import open_database, open_store
from tests.auth.places import empty, new_schema
from tests.auth.served import Auth, Client, new_config, served
from tests.servers import Server, server


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/auth.sqlite"


@pytest.fixture(scope="session")
def postgres() -> Server:
    return server("postgres")


@pytest.fixture(scope="session")
def migrated_url(postgres: Server) -> Iterator[str]:
    async def migrate(url: str) -> None:
        async with open_database(url, connections=1) as database:
            await database.migrate()

    with new_schema(postgres.url) as url:
        asyncio.run(migrate(url))
        yield url


@pytest.fixture
def postgres_url(migrated_url: str) -> str:
    """The URL of a store without a row."""
    empty(migrated_url)
    return migrated_url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("file_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with open_store(store_url, connections=2) as store:
        await store.probe.check()
        yield store


@pytest.fixture
async def auth(store_url: str) -> AsyncIterator[Auth]:
    async with served(new_config(store_url)) as auth:
        yield auth


@pytest.fixture
def operator(auth: Auth) -> Client:
    return auth.client("operator")


@pytest.fixture
def edge(auth: Auth) -> Client:
    return auth.client("edge")


@pytest.fixture
async def ann(auth: Auth, operator: Client) -> Client:
    """The edge, for an account's API key."""
    account = await operator.create_account()
    return auth.client("edge", (await operator.create_key(account.account_id)).secret)


@pytest.fixture
async def bob(auth: Auth, operator: Client) -> Client:
    account = await operator.create_account()
    return auth.client("edge", (await operator.create_key(account.account_id)).secret)
