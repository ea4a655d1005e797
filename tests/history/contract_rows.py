"""What every history store must do with one row, whatever it is made of."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime

from services.chassis.ids import new_id
from services.history.store import FinishReason, Request, Result, Role, Status, Store
from tests.history.messages import REQUEST, reply_to, result, user_message


class RowContract:
    """Subclasses provide the fixture `store`. Every test has a conversation of its own."""

    async def test_a_row_is_read_as_it_was_put(self, store: Store) -> None:
        message = user_message(new_id(), text="Grüße, 世界 👋🏽\n\ttab")
        reply = reply_to(message)
        await store.put(message)
        await store.put(reply)
        assert await store.get(message.conversation_id, message.message_id) == message
        assert await store.get(reply.conversation_id, reply.message_id) == reply

    async def test_every_column_is_read_as_it_was_written(self, store: Store) -> None:
        request = Request("", 0.1, 1.0, 2**31 - 1, (), 2**31 - 1, "Grüße\n", new_id())
        reply = replace(reply_to(user_message(new_id())), role=Role.TOOL, tenant_id="", request=request)
        ended = Result(
            Status.FAILED,
            "世\t界",
            FinishReason.ERROR,
            0,
            2**31 - 1,
            "UNAVAILABLE",
            datetime(2031, 2, 3, 4, 5, 6, 123457, UTC),
        )
        await store.put(reply)
        await store.complete(reply.conversation_id, reply.message_id, ended)
        assert await store.get(reply.conversation_id, reply.message_id) == replace(reply, result=ended)
        assert await store.scan(reply.conversation_id, upto=None, limit=1) == [replace(reply, result=ended)]

    async def test_an_absent_row_is_none(self, store: Store) -> None:
        assert await store.get(new_id(), new_id()) is None

    async def test_one_megabyte_of_text_survives(self, store: Store) -> None:
        message = user_message(new_id(), text="é" * (512 * 1024))
        await store.put(message)
        assert await store.get(message.conversation_id, message.message_id) == message

    async def test_one_megabyte_of_prompt_and_result_survives(self, store: Store) -> None:
        assert REQUEST.context_start_id is None
        request = replace(REQUEST, system_prompt="世" * (340 * 1024))
        reply = replace(reply_to(user_message(new_id())), request=request)
        await store.put(reply)
        await store.complete(reply.conversation_id, reply.message_id, result("x" * 1024 * 1024))
        assert await store.get(reply.conversation_id, reply.message_id) == replace(
            reply, result=result("x" * 1024 * 1024)
        )

    async def test_an_empty_text_is_not_an_absent_one(self, store: Store) -> None:
        message = user_message(new_id(), text="")
        await store.put(message)
        assert await store.get(message.conversation_id, message.message_id) == message

    async def test_putting_twice_is_putting_once(self, store: Store) -> None:
        message = user_message(new_id())
        await asyncio.gather(*(store.put(message) for _ in range(5)))
        assert await store.scan(message.conversation_id, upto=None, limit=10) == [message]

    async def test_of_two_rows_under_one_id_one_stays_whole(self, store: Store) -> None:
        one = user_message(new_id(), text="one")
        two = replace(one, text="two", role=Role.SYSTEM)
        await asyncio.gather(store.put(one), store.put(two))
        assert await store.get(one.conversation_id, one.message_id) in (one, two)

    async def test_putting_again_keeps_the_result(self, store: Store) -> None:
        reply = reply_to(user_message(new_id()))
        await store.put(reply)
        await store.complete(reply.conversation_id, reply.message_id, result())
        await store.put(reply)
        assert await store.get(reply.conversation_id, reply.message_id) == replace(reply, result=result())

    async def test_the_first_result_stays(self, store: Store) -> None:
        reply = reply_to(user_message(new_id()))
        await store.put(reply)
        await store.complete(reply.conversation_id, reply.message_id, result("first"))
        await store.complete(reply.conversation_id, reply.message_id, result("second", Status.FAILED))
        stored = await store.get(reply.conversation_id, reply.message_id)
        assert stored is not None
        assert stored.result == result("first")

    async def test_of_many_results_at_once_one_stays_whole(self, store: Store) -> None:
        reply = reply_to(user_message(new_id()))
        await store.put(reply)
        results = [result(str(n), random.choice(list(Status))) for n in range(8)]
        await asyncio.gather(*(store.complete(reply.conversation_id, reply.message_id, each) for each in results))
        stored = await store.get(reply.conversation_id, reply.message_id)
        assert stored is not None
        assert stored.result in results

    async def test_a_result_without_a_row_stays_unseen(self, store: Store) -> None:
        reply = reply_to(user_message(new_id()))
        await store.complete(reply.conversation_id, reply.message_id, result())
        assert await store.get(reply.conversation_id, reply.message_id) is None
        assert await store.scan(reply.conversation_id, upto=None, limit=10) == []

    async def test_many_writers_lose_nothing(self, store: Store) -> None:
        conversation_id = new_id()
        rows = [user_message(conversation_id, text=str(n)) for n in range(100)]
        await asyncio.gather(*map(store.put, rows))
        assert await store.scan(conversation_id, upto=None, limit=200) == rows[::-1]

    async def test_a_cancelled_write_harms_no_other(self, store: Store) -> None:
        conversation_id = new_id()
        rows = [user_message(conversation_id, text=str(n)) for n in range(60)]
        tasks = [asyncio.create_task(store.put(row)) for row in rows]
        for n, task in enumerate(tasks):
            if n % 3 == 0:
                await tasks[n - 1] if n else None
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stored = await store.scan(conversation_id, upto=None, limit=200)
        kept = {row.text for row in stored}
        assert kept >= {row.text for n, row in enumerate(rows) if n % 3}
        assert all(row in rows for row in stored)
