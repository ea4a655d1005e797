"""MongoDB: its plans, its schema, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError
from services.chassis.schema import Schema
from services.metadata.mongodb.client import Document, connect
from services.metadata.mongodb.places import to_filters
from services.metadata.mongodb.schema import CONVERSATIONS, KNOWN, LISTED, ORDER, SCHEMA
from services.metadata.store import Filter
from services.metadata.stores import migrate, open_store
from tests.metadata.contract import conversation, new_owner, position
from tests.metadata.opened import as_user, opened

EMPTY = Schema(0, 0)


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[AsyncDatabase[Document]]:
    async with connect(empty_url) as database:
        yield database


async def refusal(url: str) -> str:
    """The sentence with which a process ends whose store has this URL."""
    with pytest.raises(RefusedError) as refused:
        async with open_store(url) as store:
            await store.check()
    return str(refused.value)


async def not_ready(url: str) -> str:
    """What a server says that waits for a store with this URL."""
    async with open_store(url) as store:
        with pytest.raises(DomainError) as unready:
            await store.check()
        with pytest.raises(DomainError):
            await store.create(conversation(new_owner()))
    assert unready.value.reason is Reason.UNAVAILABLE
    return unready.value.message


@pytest.mark.parametrize("narrow", [Filter(), Filter(archived=True), Filter(archived=False)])
@pytest.mark.parametrize("first", [True, False])
async def test_a_list_is_read_in_the_order_of_an_index(
    empty_url: str, database: AsyncDatabase[Document], narrow: Filter, first: bool
) -> None:
    rows = [conversation(new_owner(), after=n) for n in range(3)]
    async with opened(empty_url) as store:
        for row in rows:
            await store.create(row)
    for wanted in to_filters(rows[2].owner, narrow, None if first else position(rows[2])):
        plan = await database[CONVERSATIONS].find(wanted, sort=ORDER, limit=2).explain()
        stages, stage = [], plan["queryPlanner"]["winningPlan"]
        while stage:
            stages.append((stage["stage"], stage.get("indexName")))
            stage = stage.get("inputStage")
        assert stages == [("LIMIT", None), ("FETCH", None), ("IXSCAN", "listed")]


async def test_an_empty_database_waits_for_its_schema(empty_url: str) -> None:
    assert "run `python -m services.metadata.migrate`" in await not_ready(empty_url)
    async with open_store(empty_url) as store:
        with pytest.raises(DomainError):
            await store.check()
        assert await migrate(empty_url) == (EMPTY, KNOWN)
        await store.check()
        assert await store.create(conversation(new_owner()))


async def test_a_lost_index_is_made_again(empty_url: str, database: AsyncDatabase[Document]) -> None:
    async with opened(empty_url) as store:
        await database[CONVERSATIONS].drop_index(LISTED.document["name"])
        with pytest.raises(DomainError, match="lacks an index"):
            await store.check()
        assert await migrate(empty_url) == (KNOWN, KNOWN)
        await store.check()


async def test_two_may_migrate_at_once_and_again(empty_url: str, database: AsyncDatabase[Document]) -> None:
    found = await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    assert {after for _, after in found} == {KNOWN}
    assert await migrate(empty_url) == (KNOWN, KNOWN)
    assert await database[SCHEMA].count_documents({}) == 1
    indexes = await (await database[CONVERSATIONS].list_indexes()).to_list()
    assert [index["name"] for index in indexes] == ["_id_", "listed"]


async def test_a_release_works_beside_the_next_ones_schema(empty_url: str, database: AsyncDatabase[Document]) -> None:
    row = conversation(new_owner())
    async with opened(empty_url) as store:
        await store.create(row)
        # The next release adds an index and a field, which this one knows nothing of.
        await database[CONVERSATIONS].create_index("folder")
        await database[CONVERSATIONS].update_one({"_id": row.conversation_id}, {"$set": {"folder": "f"}})
        await database[SCHEMA].update_one({}, {"$set": {"version": KNOWN.version + 1}})
        await store.check()
        assert await store.replace(replace(row, display_name="new", etag="2"), row.etag)
    newer = Schema(KNOWN.version + 1, KNOWN.works_from)
    assert await migrate(empty_url) == (newer, newer)
    async with opened(empty_url) as store:
        assert await store.get(row.owner, row.conversation_id) == replace(row, display_name="new", etag="2")
    stored = await database[CONVERSATIONS].find_one({"_id": row.conversation_id})
    assert stored is not None
    assert stored["folder"] == "f"


async def test_a_schema_that_is_too_new_is_refused(empty_url: str, database: AsyncDatabase[Document]) -> None:
    newer = KNOWN.version + 1
    async with opened(empty_url) as store:
        await database[SCHEMA].update_one({}, {"$set": {"version": newer, "works_from": newer}})
        with pytest.raises(RefusedError):
            await store.check()
    assert f"version {newer}" in await refusal(empty_url)
    with pytest.raises(RefusedError):
        await migrate(empty_url)
    assert (await database[SCHEMA].find_one({}))["version"] == newer  # type: ignore[index]


async def test_wrong_credentials_are_refused_without_showing_them(empty_url: str) -> None:
    url = as_user(empty_url, "nobody:wr0ng")
    sentence = await refusal(url)
    assert "user and password" in sentence
    assert "wr0ng" not in sentence
    with pytest.raises(RefusedError):
        await migrate(url)


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://",
        "mongodb://nobody:s3cret@host:port/",
        "mongodb://nobody:s3cret@host:99999/",
        "mongodb://no/body:s3cret@host/",
        "mongodb://nobody:s3cret@host/?authMechanism=s3cret",
        "mongodb://nobody:s3cret@host/?maxPoolSize=s3cret",
        "mongodb://nobody:s3cret@host/?tlsCertificatePassword=s3cret",
    ],
)
async def test_a_bad_address_is_refused_without_showing_it(url: str) -> None:
    sentence = await refusal(url)
    assert sentence.startswith("PARLEY_STORE_URL")
    assert "s3cret" not in sentence
