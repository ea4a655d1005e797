from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.chassis.ids import new_id
from services.chassis.sqlite import Database
from services.metadata.sqlite import MIGRATIONS, SqliteStore
from tests.identity import Signer
from tests.metadata.person import Person
from tests.metadata.served import served

if TYPE_CHECKING:
    from parley.metadata.v1.metadata_service_pb2_grpc import MetadataServiceAsyncStub


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/metadata.sqlite"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[SqliteStore]:
    async with Database(store_url, MIGRATIONS) as database:
        yield SqliteStore(database)


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
async def stub(store: SqliteStore, signer: Signer) -> AsyncIterator[MetadataServiceAsyncStub]:
    async with served(store, signer) as stub:
        yield stub


@pytest.fixture
def ann(stub: MetadataServiceAsyncStub, signer: Signer) -> Person:
    return Person(stub, signer, new_id())


@pytest.fixture
def bob(stub: MetadataServiceAsyncStub, signer: Signer) -> Person:
    return Person(stub, signer, new_id())
