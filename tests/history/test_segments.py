"""Conversations over several segments, on Cassandra."""

from bisect import bisect_right
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.ids import new_id
from services.history.cassandra.limits import Limits
from services.history.cassandra.segments import FIRST, Segments, above
from services.history.cassandra.store import CassandraStore
from services.history.tree import branch, everything
from tests.history.contract_conversations import ConversationContract, dumped
from tests.history.contract_rows import RowContract
from tests.history.messages import reply_to, result
from tests.history.rolling import Rolling, open_rolling


@pytest.fixture
async def rolling(cassandra_url: str) -> AsyncIterator[Rolling]:
    async with open_rolling(cassandra_url) as rolling:
        yield rolling


@pytest.fixture
async def store(cassandra_url: str) -> AsyncIterator[CassandraStore]:
    async with open_rolling(cassandra_url, Limits(messages=10)) as rolling:
        yield rolling.store


class TestRowsOfSmallSegments(RowContract):
    pass


class TestConversationsOfSmallSegments(ConversationContract):
    pass


async def test_a_segment_that_is_full_by_count_is_followed_by_another(rolling: Rolling) -> None:
    conversation_id = new_id()
    rows = await rolling.fill(conversation_id, 35)
    assert await rolling.sizes(conversation_id) == [10, 10, 10, 5]
    segments = await rolling.roller.segments(conversation_id)
    assert segments.starts == tuple(above(row.message_id) for row in (rows[9], rows[19], rows[29]))


async def test_a_segment_that_is_full_by_bytes_is_followed_by_another(cassandra_url: str) -> None:
    async with open_rolling(cassandra_url, Limits(size=100_000, grace_seconds=0)) as rolling:
        conversation_id = new_id()
        rows = await rolling.fill(conversation_id, 5, text="x" * 40_000)
        assert await rolling.sizes(conversation_id) == [3, 2]
        reply = reply_to(rows[-1])
        await rolling.put(reply)
        await rolling.store.complete(conversation_id, reply.message_id, result("x" * 40_000))
        await rolling.roller.idle()
        assert await rolling.sizes(conversation_id) == [3, 3, 0]


async def test_what_is_read_does_not_show_where_segments_begin(rolling: Rolling) -> None:
    conversation_id = new_id()
    rows = await rolling.fill(conversation_id, 25)
    for row in rows:
        assert await rolling.store.get(conversation_id, row.message_id) == row
    for upto, limit in ((24, 25), (24, 7), (20, 10), (10, 1), (9, 64), (0, 3)):
        found = await rolling.store.scan(conversation_id, upto=rows[upto].message_id, limit=limit)
        assert found == rows[max(0, upto - limit + 1) : upto + 1][::-1]
    assert [row async for row in everything(rolling.store, conversation_id, None)] == rows[::-1]
    assert [row async for row in branch(rolling.store, conversation_id, rows[-1].message_id)] == rows[::-1]
    assert await dumped(rolling.store, conversation_id) == rows
    children = await rolling.store.children(conversation_id, [None, *(row.message_id for row in rows)])
    assert children == {row.parent_id: [row.message_id] for row in rows}


async def test_siblings_of_an_early_message_are_found_together(rolling: Rolling) -> None:
    conversation_id = new_id()
    first = (await rolling.fill(conversation_id, 15))[0]
    replies = [reply_to(first) for _ in range(8)]
    for reply in replies:
        await rolling.put(reply)
    assert len(await rolling.sizes(conversation_id)) == 3
    children = await rolling.store.children(conversation_id, [first.message_id])
    assert list(children[first.message_id])[1:] == [reply.message_id for reply in replies]


async def test_deleting_takes_every_segment(rolling: Rolling) -> None:
    conversation_id = new_id()
    rows = await rolling.fill(conversation_id, 25)
    assert await rolling.store.delete(conversation_id) == 25
    assert await rolling.roller.segments(conversation_id) == Segments()
    assert await rolling.store.scan(conversation_id, upto=None, limit=64) == []
    assert await rolling.store.children(conversation_id, [row.parent_id for row in rows]) == {}
    assert await rolling.store.delete(conversation_id) == 0
    await rolling.fill(conversation_id, 12)
    assert await rolling.sizes(conversation_id) == [10, 2]


ids = st.text("0123456789abcdef", min_size=3, max_size=3)


@given(st.sets(ids.map(above), max_size=6), ids)
def test_who_missed_one_segment_writes_where_others_look(starts: set[str], id_: str) -> None:
    now = Segments(tuple(sorted(starts)))
    before = Segments(now.starts[:-1])
    assert before.home(id_) in now.homes(id_)
    assert now.homes(id_)[-1] == now.home(id_) == max(start for start in now.names if start <= id_)
    assert now.home(id_) <= id_ <= now.end(now.place(id_))
    assert now.place(id_) == bisect_right([FIRST, *now.starts], id_) - 1
