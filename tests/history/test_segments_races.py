"""Writers of one conversation that do not see the same segments, on Cassandra."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.history.cassandra.limits import Limits
from services.history.cassandra.rows import result_cell
from services.history.cassandra.segments import Segments, above
from services.history.tree import everything
from tests.history.contract_conversations import dumped
from tests.history.messages import reply_to, result, user_message
from tests.history.rolling import Rolling, open_rolling


@pytest.fixture
async def rolling(cassandra_url: str) -> AsyncIterator[Rolling]:
    async with open_rolling(cassandra_url) as rolling:
        yield rolling


async def test_a_row_of_a_writer_that_missed_the_new_segment_is_found(rolling: Rolling) -> None:
    conversation_id = new_id()
    rows = await rolling.fill(conversation_id, 9)
    missed = await rolling.roller.segments(conversation_id)
    rows += await rolling.fill(conversation_id, 3)
    late = reply_to(rows[-1])
    await rolling.messages.put_into(missed, late)
    rows.append(late)
    assert await rolling.sizes(conversation_id) == [11, 2]
    assert await rolling.store.get(conversation_id, late.message_id) == late
    assert await rolling.store.scan(conversation_id, upto=None, limit=2) == [late, rows[-2]]
    assert [row async for row in everything(rolling.store, conversation_id, None)] == rows[::-1]
    assert await dumped(rolling.store, conversation_id) == rows
    assert (await rolling.store.children(conversation_id, [late.parent_id]))[late.parent_id] == [late.message_id]
    await rolling.store.complete(conversation_id, late.message_id, result())
    assert await rolling.store.get(conversation_id, late.message_id) == replace(late, result=result())
    assert await rolling.store.delete(conversation_id) == 13


async def test_rows_in_turn_in_two_segments_are_read_in_order(rolling: Rolling) -> None:
    conversation_id = new_id()
    await rolling.fill(conversation_id, 9)
    missed = await rolling.roller.segments(conversation_id)
    rows = await rolling.fill(conversation_id, 1)
    seen = await rolling.roller.segments(conversation_id)
    rolling.roller._limits = Limits()  # from here on there are two segments
    for n in range(80):
        rows.append(user_message(conversation_id))
        await rolling.messages.put_into((seen, missed)[n % 2], rows[-1])
    for limit in (1, 2, 40, 64, 79, 80, 81):
        assert await rolling.store.scan(conversation_id, upto=None, limit=limit) == rows[: -limit - 1 : -1]
    assert (await dumped(rolling.store, conversation_id))[9:] == rows


async def test_the_next_segment_begins_above_such_a_row(rolling: Rolling) -> None:
    conversation_id = new_id()
    await rolling.fill(conversation_id, 9)
    missed = await rolling.roller.segments(conversation_id)
    await rolling.fill(conversation_id, 10)
    last, late = user_message(conversation_id), user_message(conversation_id)
    await rolling.messages.put_into(missed, late)
    await rolling.roller.idle()
    await rolling.put(last)
    assert (await rolling.roller.segments(conversation_id)).starts[1:] == (above(late.message_id),)
    assert await rolling.store.get(conversation_id, late.message_id) == late


async def test_a_row_that_is_in_two_segments_is_one_row(rolling: Rolling) -> None:
    conversation_id = new_id()
    await rolling.fill(conversation_id, 9)
    missed = await rolling.roller.segments(conversation_id)
    rows = await rolling.fill(conversation_id, 3)
    reply = reply_to(rows[-1])
    await rolling.put(reply)
    await rolling.messages.put_into(missed, reply)
    for text in ("first", "second"):
        await rolling.store.complete(conversation_id, reply.message_id, result(text))
    whole = replace(reply, result=result("first"))
    assert await rolling.store.get(conversation_id, reply.message_id) == whole
    assert await rolling.store.scan(conversation_id, upto=None, limit=2) == [whole, rows[-1]]
    assert (await dumped(rolling.store, conversation_id))[-2:] == [rows[-1], whole]
    children = await rolling.store.children(conversation_id, [reply.parent_id])
    assert children == {reply.parent_id: [reply.message_id]}
    assert await rolling.store.delete(conversation_id) == 13


async def test_the_first_result_stays_where_an_older_copy_comes_late(rolling: Rolling) -> None:
    conversation_id = new_id()
    await rolling.fill(conversation_id, 9)
    missed = await rolling.roller.segments(conversation_id)
    reply = reply_to((await rolling.fill(conversation_id, 1))[0])
    await rolling.put(reply)
    await rolling.store.complete(conversation_id, reply.message_id, result("first"))
    await rolling.messages.put_into(missed, reply)
    await rolling.store.complete(conversation_id, reply.message_id, result("second"))
    assert await rolling.store.get(conversation_id, reply.message_id) == replace(reply, result=result("first"))


async def test_a_result_of_a_row_that_was_deleted_meanwhile_is_not_written(rolling: Rolling) -> None:
    reply = reply_to(user_message(new_id()))
    session, statements = rolling.messages._session, rolling.messages._statements
    row = (reply.conversation_id, "", reply.message_id)
    await session.write(statements.complete, (result_cell(result()), 1, *row))
    assert await session.read(statements.sizes, row) == []


async def test_of_two_that_add_a_segment_one_does(cassandra_url: str, rolling: Rolling) -> None:
    conversation_id = new_id()
    rows = await rolling.fill(conversation_id, 9)
    segments = Segments()
    async with open_rolling(cassandra_url) as other:
        rows.append(user_message(conversation_id))
        await rolling.messages.put_into(segments, rows[-1])
        await asyncio.gather(*(each.roller._roll(conversation_id, segments) for each in (rolling, other) * 3))
        assert await other.roller.segments(conversation_id) == Segments((above(rows[-1].message_id),))
        assert [row async for row in everything(other.store, conversation_id, None)] == rows[::-1]


async def test_many_writers_in_two_processes_lose_nothing(cassandra_url: str) -> None:
    conversation_id = new_id()
    rows = [user_message(conversation_id, text=str(n)) for n in range(120)]
    limits = Limits(messages=10)
    async with open_rolling(cassandra_url, limits) as one, open_rolling(cassandra_url, limits) as other:
        await asyncio.gather(*((one, other)[n % 2].store.put(row) for n, row in enumerate(rows)))
        assert [row async for row in everything(other.store, conversation_id, None)] == rows[::-1]
        assert (await other.roller.segments(conversation_id)).starts


async def test_a_second_segment_waits_for_writers_that_have_not_seen_the_first(cassandra_url: str) -> None:
    async with open_rolling(cassandra_url, Limits(messages=10, grace_seconds=3600)) as rolling:
        conversation_id = new_id()
        await rolling.fill(conversation_id, 15)
        for _ in range(10):
            await rolling.store.put(user_message(conversation_id))
        assert (await rolling.roller.segments(conversation_id)).last == 1


async def test_a_write_that_took_too_long_is_not_acknowledged(
    rolling: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.history.cassandra.messages.WRITE_SECONDS", 0)
    with pytest.raises(DomainError) as refused:
        await rolling.store.put(user_message(new_id()))
    assert refused.value.reason is Reason.UNAVAILABLE
