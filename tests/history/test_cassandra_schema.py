"""The schema of a keyspace: applied once, by whoever comes first, and known by its number."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.chassis.migration import migrate_store
from services.chassis.process import RefusedError
from services.chassis.schema import Schema
from services.history.cassandra import schema
from services.history.cassandra.schema import STEPS, Step, migrate_cassandra
from services.history.cassandra.session import Session, open_session
from services.history.cassandra.store import CassandraStore, open_cassandra
from services.history.cassandra.url import parse
from tests.history.conftest import drop, in_keyspace
from tests.history.messages import reply_to, result, user_message
from tests.servers import server

ADDS = Step(
    (
        "ALTER TABLE {keyspace}.messages ADD IF NOT EXISTS note text",
        "ALTER TYPE {keyspace}.message_body ADD IF NOT EXISTS language text",
    ),
    works_from=1,
)
TAKES_AWAY = Step(("ALTER TABLE {keyspace}.messages DROP IF EXISTS note",), works_from=len(STEPS) + 2)


@pytest.fixture
def keyspace_url() -> Iterator[str]:
    """A keyspace of this test alone, which does not exist yet."""
    url = in_keyspace(server("cassandra").url, f"parley_test_{secrets.token_hex(4)}")
    yield url
    drop(url)


@asynccontextmanager
async def session_of(url: str) -> AsyncIterator[Session]:
    session = await open_session(parse(url))
    yield session
    await session.close()


async def remembers(store: CassandraStore) -> None:
    reply = reply_to(user_message(new_id()))
    await store.put(reply)
    await store.complete(reply.conversation_id, reply.message_id, result())
    stored = await store.get(reply.conversation_id, reply.message_id)
    assert stored
    assert (stored.request, stored.result) == (reply.request, result())


async def test_it_is_applied_once(keyspace_url: str) -> None:
    latest = Schema(len(STEPS), works_from=1)
    assert await migrate_cassandra(keyspace_url) == (Schema(0, 0), latest)
    assert await migrate_cassandra(keyspace_url) == (latest, latest)


async def test_three_at_once_apply_it_once(keyspace_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(migrate_store("history", partial(migrate_cassandra, keyspace_url)))
    said = [line for line in capfd.readouterr().err.splitlines() if "waiting" not in line]
    assert sorted(said) == ["history: schema 0 -> 1", *["history: schema 1 is up to date"] * 2]


async def test_a_migration_that_died_lets_the_next_go_on(keyspace_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "LOCK_SECONDS", 5)
    async with session_of(keyspace_url) as session:
        await schema._create(session, parse(keyspace_url))
        await schema._Lock(session, parse(keyspace_url).keyspace, "dead").take()
    with pytest.raises(DomainError, match="Another migration"):
        await migrate_cassandra(keyspace_url)
    await migrate_store("history", partial(migrate_cassandra, keyspace_url))
    async with open_cassandra(keyspace_url) as store:
        await store.check()
        await remembers(store)


async def test_a_replica_of_the_version_before_works_beside_a_new_one(keyspace_url: str) -> None:
    later = (*STEPS, ADDS)
    await migrate_cassandra(keyspace_url)
    async with open_cassandra(keyspace_url) as before, open_cassandra(keyspace_url, steps=later) as after:
        await before.check()
        with pytest.raises(DomainError, match=f"has version {len(STEPS)}; this release needs {len(later)}") as early:
            await after.check()
        assert early.value.reason is Reason.UNAVAILABLE
        assert (await migrate_cassandra(keyspace_url, later))[1] == Schema(len(later), works_from=1)
        await after.check()
        await before.check()
        async with open_cassandra(keyspace_url) as started_later:
            await started_later.check()
            for store in (before, after, started_later):
                await remembers(store)
        assert await migrate_cassandra(keyspace_url) == (Schema(len(later), 1),) * 2


async def test_a_schema_that_is_too_new_is_refused_with_its_number(keyspace_url: str) -> None:
    newest = (*STEPS, ADDS, TAKES_AWAY)
    await migrate_cassandra(keyspace_url)
    async with open_cassandra(keyspace_url) as running:
        await running.check()
        await migrate_cassandra(keyspace_url, newest)
        async with open_cassandra(keyspace_url) as starting:
            for store in (running, starting):
                with pytest.raises(
                    RefusedError, match=f"history has version {len(newest)}.*this one knows {len(STEPS)}"
                ):
                    await store.check()
    with pytest.raises(RefusedError, match=f"version {len(newest)}"):
        await migrate_cassandra(keyspace_url)


async def test_the_keyspace_says_how_many_copies_there_are(keyspace_url: str) -> None:
    await migrate_cassandra(keyspace_url)
    async with session_of(keyspace_url) as session:
        rows = await session.read(
            "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s", (parse(keyspace_url).keyspace,)
        )
    assert dict(rows[0][0]) == {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "datacenter1": "1"}
