"""What is sent to Cassandra, and what it costs there."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from cassandra.query import BatchStatement

from services.chassis.ids import new_id
from services.history.cassandra.limits import Limits
from services.history.cassandra.segments import Segments
from services.history.cassandra.store import CassandraStore, open_cassandra
from services.history.patience import patiently
from tests.history.messages import REQUEST, reply_to, result, user_message


@pytest.fixture
async def store(cassandra_url: str) -> AsyncIterator[CassandraStore]:
    async with open_cassandra(cassandra_url, Limits(messages=4, grace_seconds=0)) as store:
        await patiently(store.check)
        yield store


def driver_of(store: CassandraStore) -> Any:
    assert store._session
    return store._session._driver


async def use(store: CassandraStore) -> str:
    """Everything that is done to a conversation of two segments but deleting it; returns its id."""
    root = user_message(new_id())
    await store.put(root)
    parent = root
    for _ in range(6):
        reply = reply_to(parent)
        await store.put(reply)
        await store.complete(reply.conversation_id, reply.message_id, result())
        assert store._roller
        await store._roller.idle()
        parent = reply
    await store.get(root.conversation_id, root.message_id)
    await store.scan(root.conversation_id, upto=None, limit=64)
    await store.children(root.conversation_id, [None, root.message_id])
    return root.conversation_id


async def test_no_null_is_written(store: CassandraStore) -> None:
    sent: list[tuple[str, Any]] = []

    def listen(future: Any) -> None:
        query = future.query
        if isinstance(query, BatchStatement):
            sent.extend(("batch", value) for _, _, values in query._statements_and_parameters for value in values)
        else:
            sent.extend((query.prepared_statement.query_string, value) for value in query.values)

    driver_of(store).add_request_init_listener(listen)
    await use(store)
    assert {statement for statement, value in sent if value is None} == {
        # Of the first segment's end: a condition, not a value.
        next(statement for statement, _ in sent if "IF starts = ?" in statement)
    }


async def test_what_is_written_leaves_no_tombstones(store: CassandraStore) -> None:
    conversation_id = await use(store)
    driver, keyspace = driver_of(store), store._address.keyspace
    for table in ("messages", "children"):
        query = f"SELECT * FROM {keyspace}.{table} WHERE conversation_id = %s AND segment = ''"
        answer = await asyncio.to_thread(driver.execute, query, (conversation_id,), trace=True)
        assert len(answer.all()) >= 4
        trace = await asyncio.to_thread(answer.get_query_trace)
        read = [event.description for event in trace.events if "tombstone cells" in event.description]
        assert read
        assert all("and 0 tombstone cells" in line for line in read), read


async def test_every_statement_names_its_partition(store: CassandraStore) -> None:
    assert store._messages
    statements = vars(store._messages._statements)
    for name, prepared in statements.items():
        assert "ALLOW FILTERING" not in prepared.query_string.upper()
        assert prepared.is_idempotent, name
        if name != "partitions":  # which lists them
            assert prepared.routing_key_indexes, name
    conditional = {name for name, prepared in statements.items() if " IF " in prepared.query_string}
    assert conditional == {"complete", "add_segment", "forget_segments"}


@pytest.fixture
def sent(store: CassandraStore) -> list[Any]:
    """The requests of a store that adds no segments."""
    requests: list[Any] = []
    assert store._roller
    store._roller._limits = Limits(messages=10**9, size=10**12)
    driver_of(store).add_request_init_listener(requests.append)
    return requests


async def test_a_put_is_one_request_for_the_segments_and_one_for_the_row(
    store: CassandraStore, sent: list[Any]
) -> None:
    await store.put(user_message(new_id()))
    assert len(sent) == 2


async def test_a_page_is_one_request_for_the_segments_and_one_for_the_rows(
    store: CassandraStore, sent: list[Any]
) -> None:
    conversation_id = new_id()
    for _ in range(3):
        await store.put(user_message(conversation_id, text="x" * 30_000))
    sent.clear()
    assert len(await store.scan(conversation_id, upto=None, limit=64)) == 3
    assert len(sent) == 2


@pytest.mark.parametrize("cell", ["text", "prompt", "result"])
async def test_of_large_rows_no_more_are_read_than_fit(store: CassandraStore, sent: list[Any], cell: str) -> None:
    root, large = user_message(new_id()), "x" * 1_000_000
    for _ in range(9):
        row = replace(reply_to(root), request=replace(REQUEST, system_prompt=large if cell == "prompt" else ""))
        if cell == "text":
            row = replace(user_message(root.conversation_id), text=large)
        await store.put(row)
        if cell == "result":
            await store.complete(root.conversation_id, row.message_id, result(large))
    sent.clear()
    assert len(await store.scan(root.conversation_id, upto=None, limit=64)) == 4
    assert len(sent) == 3
    assert await store.delete(root.conversation_id) == 9
    assert store._roller
    assert await store._roller.segments(root.conversation_id) == Segments()
