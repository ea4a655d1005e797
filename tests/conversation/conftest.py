import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.conversation.config import Config
from services.conversation.journal import Journal, open_journal
from tests.conversation.cluster import Cluster
from tests.conversation.steps import a_config
from tests.valkey import Valkey, valkey


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Valkey]:
    async with valkey(tmp_path) as running:
        yield running


@pytest.fixture
def config(server: Valkey) -> Config:
    return a_config(server.url)


@pytest.fixture
async def journal(config: Config) -> AsyncIterator[Journal]:
    async with open_journal(config) as journal:
        await journal.check()
        yield journal


@pytest.fixture(scope="session")
def formed_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        asyncio.run(cluster.form())
        yield cluster


@pytest.fixture
async def cluster(formed_cluster: Cluster) -> Cluster:
    """Whole, whatever the tests before did to it."""
    await formed_cluster.settle()
    return formed_cluster
