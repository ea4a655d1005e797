from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.chassis.ids import new_id
from services.metadata.store import Store
from tests.identity import Signer
from tests.metadata.opened import new_database, new_place, opened
from tests.metadata.person import Person
from tests.metadata.served import served

if TYPE_CHECKING:
    from parley.metadata.v1.metadata_service_pb2_grpc import MetadataServiceAsyncStub


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/metadata.sqlite"


@pytest.fixture(scope="session")
def mongodb_url() -> Iterator[str]:
    """A database of this run alone."""
    with new_database() as url:
        yield url


@pytest.fixture
def empty_url() -> Iterator[str]:
    """A database of this test alone, without a schema."""
    with new_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "mongodb"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A place for a store, of each kind."""
    url: str = request.getfixturevalue({"sqlite": "file_url", "mongodb": "mongodb_url"}[request.param])
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with opened(store_url) as store:
        yield store


@pytest.fixture(params=["sqlite", "mongodb"])
async def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store of each kind, that holds nothing yet."""
    with new_place(request.param, tmp_path / "empty") as url:
        async with opened(url) as store:
            yield store


@pytest.fixture(params=["sqlite", "mongodb"])
async def other_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Another."""
    with new_place(request.param, tmp_path / "other") as url:
        async with opened(url) as store:
            yield store


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
async def stub(store: Store, signer: Signer) -> AsyncIterator[MetadataServiceAsyncStub]:
    async with served(store, signer) as stub:
        yield stub


@pytest.fixture
def ann(stub: MetadataServiceAsyncStub, signer: Signer) -> Person:
    return Person(stub, signer, new_id())


@pytest.fixture
def bob(stub: MetadataServiceAsyncStub, signer: Signer) -> Person:
    return Person(stub, signer, new_id())
