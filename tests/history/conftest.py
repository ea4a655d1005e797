from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.chassis.sqlite import Database
from services.history.sqlite import MIGRATIONS, SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with Database(f"sqlite:///{tmp_path}/history.sqlite", MIGRATIONS) as database:
        yield SqliteStore(database)
