"""MongoDB away, hanging, killed, cut off in the middle; and callers who give up."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.errors import Reason
from services.chassis.ids import new_id
from services.metadata.etag import next_etag
from services.metadata.store import Conversation, Owner, Store
from services.metadata.stores import migrate, open_store
from tests.identity import Signer
from tests.metadata.contract import ALL, conversation, new_owner, settings
from tests.metadata.opened import by_port, opened, until_ready
from tests.metadata.person import Person, new_conversation, refusal
from tests.metadata.served import served
from tests.proxy import Proxy, proxy
from tests.servers import Server, server

T = TypeVar("T")

LONGEST = 5.0
"""Seconds that a call may take, whatever the server does."""
CALLS = 400


@pytest.fixture
def real() -> Server:
    return server("mongodb")


@pytest.fixture
async def between(real: Server) -> AsyncIterator[Proxy]:
    async with proxy(real.host, real.port) as between:
        yield between


async def unavailable(call: Awaitable[object]) -> float:
    """Seconds until the call ended, as a call to a store that is away."""
    started = time.monotonic()
    error = await refusal(call)
    assert (error.reason, error.retry_after) == (Reason.UNAVAILABLE, 1)
    return time.monotonic() - started


async def test_a_store_that_is_away_at_the_start_is_used_when_it_comes(mongodb_url: str, between: Proxy) -> None:
    await migrate(mongodb_url)
    await between.close()
    async with open_store(by_port(mongodb_url, between.port)) as store:
        assert await unavailable(store.check()) < LONGEST
        await between.open()
        await until_ready(store)
        assert await store.create(conversation(new_owner()))


async def test_a_server_that_hangs_costs_a_caller_its_deadline(mongodb_url: str, real: Server) -> None:
    row = conversation(new_owner())
    async with opened(mongodb_url) as store:
        await store.create(row)
        with real.stopped():
            calls = [
                store.check(),
                store.get(row.owner, row.conversation_id),
                store.list(row.owner, ALL, after=None, limit=10),
                store.create(conversation(row.owner)),
                store.replace(row, row.etag),
                store.delete(row.owner, new_id()),
                store.put_settings(settings(row.owner), None),
                *(store.get(row.owner, row.conversation_id) for _ in range(100)),
            ]
            assert max(await asyncio.gather(*map(unavailable, calls))) < LONGEST
        await until_ready(store)
        assert await store.get(row.owner, row.conversation_id) == row


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(mongodb_url: str, real: Server) -> None:
    owner, acknowledged, enough = new_owner(), list[Conversation](), asyncio.Event()

    async def write_on(store: Store) -> None:
        while True:
            row = conversation(owner)
            assert await store.create(row)
            acknowledged.append(row)
            if len(acknowledged) == 20:
                enough.set()

    async with opened(mongodb_url) as store:
        writers = [asyncio.create_task(write_on(store)) for _ in range(4)]
        await enough.wait()
        await real.kill()
        for writer in writers:
            await unavailable(writer)
        await real.start()
        await until_ready(store)
        assert [await store.get(owner, row.conversation_id) for row in acknowledged] == acknowledged
        assert await store.create(conversation(owner))


async def answer_lost(between: Proxy, call: Awaitable[T], written: Callable[[], Awaitable[bool]]) -> T:
    """Makes a call, and cuts its connection when it was written and before it is answered."""
    between.hold(requests=False)
    calling = asyncio.ensure_future(call)
    async with asyncio.timeout(LONGEST):
        while not await written():
            await asyncio.sleep(0.01)
    between.cut()
    between.let_go()
    return await calling


async def test_a_write_whose_answer_is_lost_is_answered_as_it_was(mongodb_url: str, between: Proxy) -> None:
    row = conversation(new_owner())
    renamed = replace(row, display_name="new", etag="2")
    async with opened(mongodb_url) as direct, opened(by_port(mongodb_url, between.port)) as store:

        async def lost(call: Awaitable[bool], written: Conversation) -> bool:
            async def is_written() -> bool:
                return await direct.get(row.owner, row.conversation_id) == written

            return await answer_lost(between, call, is_written)

        assert await lost(store.create(row), row)
        assert await lost(store.replace(renamed, row.etag), renamed)


async def test_a_call_whose_answer_is_lost_may_be_repeated(mongodb_url: str, between: Proxy, signer: Signer) -> None:
    """Where the server knows no repeated writes."""
    url = by_port(mongodb_url, between.port) + "&retryWrites=false"
    async with opened(mongodb_url) as direct, opened(url) as store, served(store, signer) as stub:
        ann, wanted = Person(stub, signer, new_id()), new_conversation()
        owner = Owner("default", ann.account_id)

        async def is_written(etag: str) -> bool:
            row = await direct.get(owner, wanted.conversation_id)
            return row is not None and row.etag.startswith(etag)

        await unavailable(answer_lost(between, ann.create(wanted), lambda: is_written("")))
        created = await ann.create(wanted)
        row = await direct.get(owner, wanted.conversation_id)
        assert row is not None
        updated = replace(row, display_name="new", etag=next_etag(row.etag, {"display_name": "new"}))
        await unavailable(answer_lost(between, store.replace(updated, row.etag), lambda: is_written(updated.etag)))
        change = pb.Conversation(conversation_id=wanted.conversation_id, display_name="new", etag=created.etag)
        assert (await ann.update(change, "display_name")).etag == updated.etag


async def test_callers_who_give_up_harm_nobody(mongodb_url: str, between: Proxy) -> None:
    tasks = asyncio.all_tasks()
    outcomes = Counter[str]()
    async with opened(by_port(mongodb_url, between.port)) as store:
        rows = [conversation(new_owner(), name=new_id()) for _ in range(8)]
        for row in rows:
            await store.create(row)
            await store.put_settings(replace(settings(row.owner), locale=row.display_name), None)
        between.delay = 0.001

        async def call(row: Conversation) -> None:
            """Any call, whose answer has to be its caller's."""
            match random.randrange(4):
                case 0:
                    assert await store.get(row.owner, row.conversation_id) == row
                case 1:
                    assert await store.list(row.owner, ALL, after=None, limit=10) == [row]
                case 2:
                    kept = await store.settings(row.owner)
                    assert kept is not None
                    assert kept.locale == row.display_name
                case 3:
                    assert not await store.create(row)

        async def caller(row: Conversation) -> None:
            for _ in range(CALLS // len(rows)):
                calling = asyncio.create_task(call(row))
                await asyncio.wait([calling], timeout=random.choice([None, random.uniform(0, 0.02)]))
                calling.cancel()
                await asyncio.wait([calling])
                outcomes["given up" if calling.cancelled() else "answered"] += 1
                assert calling.cancelled() or not calling.exception()

        await asyncio.gather(*map(caller, rows))
        between.delay = 0
        assert await asyncio.gather(*(store.get(row.owner, row.conversation_id) for row in rows)) == rows
    assert min(outcomes.values()) > CALLS / 20
    async with asyncio.timeout(LONGEST):
        while between.connections:
            await asyncio.sleep(0.01)
    assert asyncio.all_tasks() <= tasks
