from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.auth.sql.database import Database
from services.auth.sql.store import sql_store
from services.auth.store import Store
from tests.auth.served import Auth, Client, new_config, served


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/auth.sqlite"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with Database(store_url, connections=2) as database:
        yield sql_store(database)


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
