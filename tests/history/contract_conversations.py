"""What every history store must do with the rows of a conversation, whatever it is made of."""

import asyncio
import random
from dataclasses import replace
from itertools import pairwise

import uuid_utils

from services.chassis.ids import new_id
from services.history.store import Message, Role, Store
from services.history.tree import branch, everything
from tests.history.messages import id_of, reply_to, result, user_message


async def dumped(store: Store, conversation_id: str) -> list[Message]:
    return [row async for row in store.dump() if row.conversation_id == conversation_id]


class ConversationContract:
    """Subclasses provide the fixture `store`. Every test has a conversation of its own."""

    async def test_scan_goes_down_by_id_from_upto(self, store: Store) -> None:
        conversation_id = new_id()
        rows = [user_message(conversation_id, text=str(n)) for n in range(10)]
        for row in random.sample(rows, len(rows)):
            await store.put(row)
        assert await store.scan(conversation_id, upto=None, limit=4) == rows[:5:-1]
        assert await store.scan(conversation_id, upto=rows[5].message_id, limit=3) == rows[5:2:-1]
        assert await store.scan(conversation_id, upto=rows[0].message_id, limit=3) == rows[:1]

    async def test_ids_are_ordered_as_text(self, store: Store) -> None:
        conversation_id, now = new_id(), 1_700_000_000_000
        ids = [id_of(now + random.randrange(3)) for _ in range(40)] + [
            id_of(0),
            id_of(2**48 - 1),
            str(uuid_utils.uuid7()),
        ]
        for id_ in ids:
            await store.put(replace(user_message(conversation_id), message_id=id_))
        rows = await store.scan(conversation_id, upto=None, limit=100)
        assert [row.message_id for row in rows] == sorted(ids, reverse=True)

    async def test_an_empty_conversation_is_empty_everywhere(self, store: Store) -> None:
        conversation_id = new_id()
        assert await store.scan(conversation_id, upto=None, limit=10) == []
        assert await store.scan(conversation_id, upto=new_id(), limit=10) == []
        assert await store.children(conversation_id, [None, new_id()]) == {}
        assert await store.children(conversation_id, []) == {}
        assert await store.delete(conversation_id) == 0
        assert [row async for row in everything(store, conversation_id, None)] == []

    async def test_long_texts_are_listed_once_each(self, store: Store) -> None:
        conversation_id = new_id()
        rows = [user_message(conversation_id, text=str(n) * 1024 * 1024) for n in range(9)]
        await asyncio.gather(*map(store.put, rows))
        assert [row async for row in everything(store, conversation_id, None)] == rows[::-1]
        assert len(await store.scan(conversation_id, upto=None, limit=64)) >= 2

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
        ids = [new_id() for _ in range(120)]
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

    async def test_many_parents_are_looked_up_at_once(self, store: Store) -> None:
        root = user_message(new_id())
        rows = [root]
        for _ in range(100):
            rows.append(reply_to(rows[-1]))
        await asyncio.gather(*map(store.put, rows))
        children = await store.children(root.conversation_id, [row.message_id for row in rows])
        assert children == {parent.message_id: [row.message_id] for parent, row in pairwise(rows)}

    async def test_deleting_twice_is_deleting_once(self, store: Store) -> None:
        message = user_message(new_id())
        await store.put(message)
        await store.put(reply_to(message))
        assert await store.delete(message.conversation_id) == 2
        assert await store.delete(message.conversation_id) == 0
        assert await store.scan(message.conversation_id, upto=None, limit=10) == []
        assert await store.children(message.conversation_id, [None]) == {}

    async def test_a_deleted_conversation_can_be_filled_again(self, store: Store) -> None:
        message = user_message(new_id())
        reply = reply_to(message)
        for text in ("first", "second"):
            await store.put(message)
            await store.put(reply)
            await store.complete(reply.conversation_id, reply.message_id, result(text))
            rows = await store.scan(message.conversation_id, upto=None, limit=10)
            assert rows == [replace(reply, result=result(text)), message]
            assert await store.delete(message.conversation_id) == 2

    async def test_a_result_after_the_deletion_stays_unseen(self, store: Store) -> None:
        reply = reply_to(user_message(new_id()))
        await store.put(reply)
        await store.delete(reply.conversation_id)
        await store.complete(reply.conversation_id, reply.message_id, result())
        assert await store.get(reply.conversation_id, reply.message_id) is None
        await store.put(reply)
        assert await store.get(reply.conversation_id, reply.message_id) == reply

    async def test_a_dump_has_every_row_once_by_rising_id(self, store: Store) -> None:
        conversations = [new_id() for _ in range(3)]
        rows = [user_message(id_, text=str(n)) for n in range(50) for id_ in conversations]
        reply = reply_to(rows[-1])
        await asyncio.gather(*map(store.put, [*rows, reply]))
        await store.complete(reply.conversation_id, reply.message_id, result())
        for id_ in conversations[:2]:
            assert await dumped(store, id_) == [row for row in rows if row.conversation_id == id_]
        assert (await dumped(store, conversations[2]))[-1] == replace(reply, result=result())
