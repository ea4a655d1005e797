from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.conversation.config import Config
from services.conversation.journal import Journal, open_journal
from tests.valkey import Valkey, valkey


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Valkey]:
    async with valkey(tmp_path) as running:
        yield running


@pytest.fixture
def config(server: Valkey) -> Config:
    return Config.model_validate(
        {
            "auth_address": "127.0.0.1:1",
            "history_address": "127.0.0.1:1",
            "metadata_address": "127.0.0.1:1",
            "inference_addresses": ("127.0.0.1:1",),
            "service_secret": "s" * 32,
            "redis_url": server.url,
            "shards": 3,
            "lease_seconds": 0.5,
            "renew_seconds": 0.1,
        }
    )


@pytest.fixture
async def journal(config: Config) -> AsyncIterator[Journal]:
    async with open_journal(config) as journal:
        yield journal
