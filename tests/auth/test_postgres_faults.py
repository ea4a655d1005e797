"""PostgreSQL as a server that is away, hangs, is slow, and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.auth.records import Reserving
from services.auth.sql import postgres as driver
from services.auth.sql.database import Database
from services.auth.stores import open_database, open_store
from services.chassis.errors import Reason
from tests.auth.contract_accounts import new_account, registered
from tests.auth.contract_ledger import reservation, reserve
from tests.auth.places import opened
from tests.auth.served import refusal
from tests.proxy import Proxy, proxy
from tests.servers import Server


@pytest.fixture
async def between(postgres: Server) -> AsyncIterator[Proxy]:
    async with proxy(postgres.host, postgres.port) as between:
        yield between


@pytest.fixture
def slow_url(postgres: Server, postgres_url: str, between: Proxy) -> str:
    """The URL of a store without a row, through the proxy."""
    return postgres_url.replace(f":{postgres.port}/", f":{between.port}/")


async def until_idle(database: Database) -> None:
    async with asyncio.timeout(10):
        await asyncio.gather(*database._threads._running, return_exceptions=True)


async def test_a_server_that_hangs_costs_a_caller_its_patience_and_no_thread(
    postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.auth.sql.database.WAIT_SECONDS", 0.5)
    async with opened(postgres_url) as (database, store):
        owner = await registered(store)
        await asyncio.gather(*(store.accounts.get(owner) for _ in range(2)))
        with postgres.stopped():
            started = time.monotonic()
            calls = [reserve(store, reservation(owner)), store.accounts.get(owner), store.probe.check()]
            for error in await asyncio.gather(*map(refusal, calls)):
                assert error.reason is Reason.UNAVAILABLE
            assert time.monotonic() - started < 1.5
            await until_idle(database)  # while it still hangs
        await store.probe.check()
        assert await store.accounts.get(owner)
        assert await reserve(store, reservation(owner)) is Reserving.RESERVED


async def test_a_server_that_hangs_while_one_connects_holds_no_thread(
    between: Proxy, slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.auth.sql.database.WAIT_SECONDS", 0.5)
    monkeypatch.setitem(driver._CONNECTION, "connect_timeout", "2")
    async with open_database(slow_url, connections=1) as database:
        between.hold()
        assert (await refusal(database.check())).reason is Reason.UNAVAILABLE
        await until_idle(database)
        between.let_go()
        await database.check()


async def test_a_server_that_was_killed_is_used_again_at_once(postgres: Server, postgres_url: str) -> None:
    async with opened(postgres_url) as (_, store):
        owner = await registered(store)
        kept = reservation(owner)
        await reserve(store, kept)
        await postgres.kill()
        try:
            calls = (store.probe.check(), store.accounts.get(owner), reserve(store, reservation(owner)))
            for error in await asyncio.gather(*map(refusal, calls)):
                assert error.reason is Reason.UNAVAILABLE
        finally:
            await postgres.start()
        assert await store.ledger.get(kept.reservation_id) == kept
        await store.probe.check()


async def test_connections_that_a_restart_ended_are_replaced_in_silence(postgres: Server, postgres_url: str) -> None:
    async with opened(postgres_url) as (_, store):
        owner = await registered(store)
        await asyncio.gather(*(store.accounts.get(owner) for _ in range(2)))
        await postgres.kill()
        await postgres.start()
        assert await reserve(store, reservation(owner)) is Reserving.RESERVED
        assert await store.accounts.get(owner)


async def test_a_store_can_be_opened_while_its_server_is_away(between: Proxy, slow_url: str) -> None:
    await between.close()
    async with open_store(slow_url, connections=1) as store:
        for call in (store.probe.check(), store.accounts.create(new_account(), "hash")):
            assert (await refusal(call)).reason is Reason.UNAVAILABLE
        await between.open()
        # Nothing is written before somebody has looked at the schema.
        assert (await refusal(store.accounts.create(new_account(), "hash"))).reason is Reason.UNAVAILABLE
        await store.probe.check()
        await registered(store)


async def test_what_is_slow_is_waited_for_and_what_is_too_slow_is_not(
    between: Proxy, slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(slow_url) as (_, store):
        owner = await registered(store)
        between.delay = 0.05
        assert await reserve(store, reservation(owner)) is Reserving.RESERVED
        between.delay = 2.0
        monkeypatch.setattr("services.auth.sql.database.WAIT_SECONDS", 0.5)
        started = time.monotonic()
        assert (await refusal(store.accounts.get(owner))).reason is Reason.UNAVAILABLE
        assert time.monotonic() - started < 1.5
        between.delay = 0.0
        assert await store.accounts.get(owner)
