"""What every history store must do, whatever it is made of."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime

from services.chassis.ids import new_id
from services.history.store import FinishReason, Message, Request, Result, Role, Status, Store
from services.history.tree import branch, everything

REQUEST = Request(
    model="m",
    temperature=0.7,
    top_p=0.9,
    max_output_tokens=100,
    stop=("a", "ß"),
    seed=7,
    system_prompt="Be brief.",
    context_start_id=None,
)


def user_message(conversation_id: str, *, parent_id: str | None = None, text: str = "hello") -> Message:
    return Message("default", "ann", conversation_id, new_id(), parent_id, Role.USER, text)


def reply_to(parent: Message) -> Message:
    return Message(
        "default", "ann", parent.conversation_id, new_id(), parent.message_id, Role.ASSISTANT, "", request=REQUEST
    )


def result(text: str = "hi", status: Status = Status.COMPLETED) -> Result:
    return Result(status, text, FinishReason.STOP, 3, 5, "", datetime.fromtimestamp(1_700_000_000.25, UTC))


class HistoryStoreContract:
    """Subclasses provide the fixture `store`. Every test has a conversation of its own."""

    async def test_a_row_is_read_as_it_was_put(self, store: Store) -> None:
        message = user_message(new_id(), text="Grüße, 世界 👋🏽\n\ttab")
        reply = reply_to(message)
        await store.put(message)
        await store.put(reply)
        assert await store.get(message.conversation_id, message.message_id) == message
        assert await store.get(reply.conversation_id, reply.message_id) == reply

    async def test_an_absent_row_is_none(self, store: Store) -> None:
        assert await store.get(new_id(), new_id()) is None

    async def test_one_megabyte_of_text_survives(self, store: Store) -> None:
        message = user_message(new_id(), text="é" * (512 * 1024))
        await store.put(message)
        assert await store.get(message.conversation_id, message.message_id) == message

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

    async def test_scan_goes_down_by_id_from_upto(self, store: Store) -> None:
        conversation_id = new_id()
        rows = [user_message(conversation_id, text=str(n)) for n in range(10)]
        for row in random.sample(rows, len(rows)):
            await store.put(row)
        assert await store.scan(conversation_id, upto=None, limit=4) == rows[:5:-1]
        assert await store.scan(conversation_id, upto=rows[5].message_id, limit=3) == rows[5:2:-1]
        assert await store.scan(conversation_id, upto=rows[0].message_id, limit=3) == rows[:1]

    async def test_another_conversation_is_not_seen(self, store: Store) -> None:
        message = user_message(new_id())
        await store.put(message)
        other = new_id()
        assert await store.get(other, message.message_id) is None
        assert await store.scan(other, upto=None, limit=10) == []
        assert await store.delete(other) == 0
        assert await store.get(message.conversation_id, message.message_id) == message

    async def test_everything_is_listed_once_while_others_write(self, store: Store) -> None:
        conversation_id = new_id()
        rows = [user_message(conversation_id, text=str(n)) for n in range(150)]
        for row in rows:
            await store.put(row)
        seen = []
        async for row in everything(store, conversation_id, None):
            seen.append(row.message_id)
            if len(seen) % 10 == 0:
                await store.put(user_message(conversation_id, text="new"))
        assert seen == [row.message_id for row in reversed(rows)]

    async def test_a_branch_follows_parents_even_where_ids_do_not(self, store: Store) -> None:
        conversation_id = new_id()
        ids = [new_id() for _ in range(200)]
        random.shuffle(ids)
        rows = [
            Message("default", "ann", conversation_id, id_, parent, Role.USER, str(n))
            for n, (id_, parent) in enumerate(zip(ids, [None, *ids], strict=False))
        ]
        for row in rows:
            await store.put(row)
        assert [row async for row in branch(store, conversation_id, ids[-1])] == rows[::-1]
        assert [row async for row in branch(store, conversation_id, ids[9])] == rows[9::-1]

    async def test_children_are_listed_by_parent(self, store: Store) -> None:
        root = user_message(new_id())
        first, second = reply_to(root), reply_to(root)
        for row in (root, second, first):
            await store.put(row)
        children = await store.children(root.conversation_id, [None, root.message_id, first.message_id])
        assert {parent: list(ids) for parent, ids in children.items()} == {
            None: [root.message_id],
            root.message_id: [first.message_id, second.message_id],
        }

    async def test_deleting_twice_is_deleting_once(self, store: Store) -> None:
        message = user_message(new_id())
        await store.put(message)
        await store.put(reply_to(message))
        assert await store.delete(message.conversation_id) == 2
        assert await store.delete(message.conversation_id) == 0
        assert await store.scan(message.conversation_id, upto=None, limit=10) == []
        assert await store.children(message.conversation_id, [None]) == {}

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
