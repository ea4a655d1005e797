"""Cassandra that is away, hangs, is slow or refuses, and what a store makes of it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from cassandra import AuthenticationFailed
from cassandra.cluster import NoHostAvailable

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.chassis.process import RefusedError
from services.history.cassandra.cluster import _refusal
from services.history.cassandra.session import MAX_REQUESTS
from services.history.cassandra.store import CassandraStore, open_cassandra
from services.history.cassandra.url import parse
from services.history.store import Store
from services.history.stores import open_store
from tests.history.conftest import in_keyspace
from tests.history.messages import reply_to, result, user_message
from tests.proxy import Proxy, proxy
from tests.servers import Server, server

AT_MOST = 5.5
"""Seconds that a call may take on a machine that others use, too."""


@pytest.fixture
def cassandra() -> Server:
    return server("cassandra")


@asynccontextmanager
async def through_proxy(cassandra: Server, url: str) -> AsyncIterator[tuple[Proxy, CassandraStore]]:
    """A store, open, that reaches the server by a proxy."""
    async with proxy(cassandra.host, cassandra.port) as between:
        async with open_cassandra(url.replace(f":{cassandra.port}", f":{between.port}")) as store:
            await store.check()
            yield between, store
        await until(lambda: between.connections == 0)


async def until(holds: Callable[[], bool | Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not (answer if isinstance(answer := holds(), bool) else await answer):
            await asyncio.sleep(0.05)


async def passes(store: Store) -> bool:
    with suppress(DomainError):
        await store.check()
        return True
    return False


async def every_call_is_unavailable_in_time(store: Store) -> None:
    message = user_message(new_id())
    calls = [
        store.put(message),
        store.complete(message.conversation_id, message.message_id, result()),
        store.get(message.conversation_id, message.message_id),
        store.scan(message.conversation_id, upto=None, limit=64),
        store.children(message.conversation_id, [None]),
        store.delete(message.conversation_id),
        store.check(),
    ]
    started = time.monotonic()
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(answer, DomainError)
        assert answer.reason is Reason.UNAVAILABLE
        assert "Cassandra" not in str(answer)
        assert "127.0.0.1" not in str(answer)
    assert time.monotonic() - started < AT_MOST


async def test_a_server_that_is_away_at_the_start_is_used_once_it_is_there(
    cassandra: Server, cassandra_url: str
) -> None:
    between = Proxy(cassandra.host, cassandra.port)
    async with open_cassandra(cassandra_url.replace(f":{cassandra.port}", f":{between.port}")) as store:
        await every_call_is_unavailable_in_time(store)
        await between.open()
        await until(lambda: passes(store))
        message = user_message(new_id())
        await store.put(message)
        assert await store.get(message.conversation_id, message.message_id) == message
    await between.close()


async def test_nothing_is_done_before_a_check_has_passed(cassandra_url: str) -> None:
    async with open_cassandra(cassandra_url) as store:
        with pytest.raises(DomainError):
            await store.put(user_message(new_id()))
        with pytest.raises(DomainError):
            store.dump()


async def test_a_check_with_little_time_is_gone_on_with_by_the_next(cassandra_url: str) -> None:
    async with open_cassandra(cassandra_url) as store:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await store.check()
        opening = store._opening
        await store.check()
        assert opening
        assert opening.done()


async def test_a_server_that_hangs_costs_a_caller_its_deadline_and_then_works_again(
    cassandra: Server, cassandra_url: str
) -> None:
    async with open_cassandra(cassandra_url) as store:
        await store.check()
        with cassandra.stopped():
            for _ in range(2):  # before the driver notices, and after
                await every_call_is_unavailable_in_time(store)
        await until(lambda: passes(store))
        message = user_message(new_id())
        await store.put(message)
        assert await store.get(message.conversation_id, message.message_id) == message


async def test_one_connection_that_hangs_harms_no_other(cassandra: Server, cassandra_url: str) -> None:
    message = user_message(new_id())
    async with through_proxy(cassandra, cassandra_url) as (between, held), open_cassandra(cassandra_url) as other:
        await other.check()
        between.hold()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(every_call_is_unavailable_in_time(held))
            for _ in range(20):
                await asyncio.wait_for(other.put(message), 1)
        between.let_go()
        await until(lambda: passes(held))
        assert await held.get(message.conversation_id, message.message_id) == message


async def test_latency_costs_time_and_no_more(cassandra: Server, cassandra_url: str) -> None:
    message = user_message(new_id())
    async with through_proxy(cassandra, cassandra_url) as (between, store):
        between.delay = 0.05
        await asyncio.gather(*(store.put(message) for _ in range(20)))
        assert await store.get(message.conversation_id, message.message_id) == message
        between.delay = 2.0
        await every_call_is_unavailable_in_time(store)
        between.delay = 0
        await until(lambda: passes(store))
        assert await store.get(message.conversation_id, message.message_id) == message


async def test_the_answer_of_a_cancelled_call_goes_nowhere(cassandra: Server, cassandra_url: str) -> None:
    rows = [user_message(new_id(), text=str(n)) for n in range(40)]
    async with through_proxy(cassandra, cassandra_url) as (between, store):
        await asyncio.gather(*map(store.put, rows))
        between.hold(requests=False)
        calls = [asyncio.create_task(store.get(row.conversation_id, row.message_id)) for row in rows]
        assert store._session
        slots = store._session._slots
        await until(lambda: slots._value <= MAX_REQUESTS - len(rows))
        for call in calls[::2]:
            call.cancel()
        later = [asyncio.create_task(store.get(row.conversation_id, row.message_id)) for row in rows[::2]]
        await until(lambda: slots._value <= MAX_REQUESTS - len(rows) - len(later))
        between.let_go()
        assert await asyncio.gather(*calls[1::2]) == rows[1::2]
        assert await asyncio.gather(*later) == rows[::2]
        assert all(call.cancelled() for call in calls[::2])
        await until(lambda: slots._value == MAX_REQUESTS)


async def unsynced_seconds(store: CassandraStore) -> float:
    """How much of its last writes one node may forget: all of it is on other nodes, too, where there are some."""
    assert store._session
    names = "'commitlog_sync', 'commitlog_sync_period_in_ms'"
    settings: dict[str, str] = dict(
        await store._session.read(f"SELECT name, value FROM system_views.settings WHERE name IN ({names})")
    )
    return float(settings["commitlog_sync_period_in_ms"]) / 1000 if settings["commitlog_sync"] == "periodic" else 0


async def test_what_was_acknowledged_survives_sigkill_of_the_server(cassandra: Server, cassandra_url: str) -> None:
    conversation_id = new_id()
    acknowledged: dict[str, float] = {}
    killed = asyncio.Event()

    async def write(store: Store) -> None:
        parent = None
        while not killed.is_set():
            message = user_message(conversation_id, parent_id=parent)
            with suppress(DomainError):
                await store.put(message)
                acknowledged[message.message_id] = time.monotonic()
                parent = message.message_id

    async with open_cassandra(cassandra_url) as store:
        await store.check()
        unsynced = await unsynced_seconds(store)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(write(store))
            enough = time.monotonic() + unsynced + 1
            await until(lambda: time.monotonic() > enough)
            synced = {id_ for id_, at in acknowledged.items() if at < time.monotonic() - unsynced}
            await cassandra.kill()
            killed.set()
        assert synced
        await cassandra.start()
        await until(lambda: passes(store), 60)
        stored = [row async for row in store.dump() if row.conversation_id == conversation_id]
        assert synced <= {row.message_id for row in stored}
        children = await store.children(conversation_id, [row.parent_id for row in stored])
        assert {id_ for ids in children.values() for id_ in ids} == {row.message_id for row in stored}


async def test_a_missing_keyspace_names_the_command(cassandra: Server) -> None:
    async with open_store(in_keyspace(cassandra.url, f"missing_{secrets.token_hex(4)}")) as store:
        for _ in range(2):
            with pytest.raises(DomainError, match=r"run `python -m services\.history\.migrate`") as missing:
                await store.check()
            assert missing.value.reason is Reason.UNAVAILABLE


async def test_a_datacenter_that_is_none_is_refused_by_name(cassandra_url: str) -> None:
    async with open_store(cassandra_url.replace("datacenter=datacenter1", "datacenter=mars")) as store:
        with pytest.raises(RefusedError, match="no datacenter mars; it has datacenter1"):
            await store.check()


def test_what_a_connection_that_fails_means(cassandra_url: str) -> None:
    address = parse(cassandra_url)
    wrong = NoHostAvailable("", {"127.0.0.1:9042": AuthenticationFailed("Provided username cassandra and/or password")})
    refused = _refusal(wrong, address, set())
    assert isinstance(refused, RefusedError)
    assert str(refused) == "PARLEY_STORE_URL: the store does not accept its user and password."
    for away in (NoHostAvailable("", {"127.0.0.1:9042": ConnectionRefusedError()}), NoHostAvailable("", ["127.0.0.1"])):
        assert isinstance(_refusal(away, address, {"datacenter1"}), DomainError)


async def test_the_next_result_is_dropped_even_after_a_restart_of_the_store(cassandra_url: str) -> None:
    reply = reply_to(user_message(new_id()))
    for text in ("first", "second"):
        async with open_store(cassandra_url) as store:
            await store.check()
            await store.put(reply)
            await store.complete(reply.conversation_id, reply.message_id, result(text))
            stored = await store.get(reply.conversation_id, reply.message_id)
            assert stored
            assert stored.result == result("first")
