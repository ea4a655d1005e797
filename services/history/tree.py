"""The tree of a conversation: all of it, or from a leaf along its parents."""

from collections.abc import AsyncIterator

from services.history.store import Message, Store

WINDOW = 64
"""Rows read at once: a parent is nearly always a close neighbour of its child in the order of ids."""


async def branch(store: Store, conversation_id: str, leaf_id: str) -> AsyncIterator[Message]:
    """The messages from `leaf_id` to its root, newest first; ends early where a parent is missing.

    Ids come from clients whose clocks differ, so a parent's may be the larger one: then it is looked up from there.
    """
    window: dict[str, Message] = {}
    wanted: str | None = leaf_id
    while wanted is not None:
        if wanted not in window:
            rows = await store.scan(conversation_id, upto=wanted, limit=WINDOW)
            window = {row.message_id: row for row in rows}
        message = window.get(wanted)
        if message is None:
            return
        yield message
        wanted = message.parent_id


async def everything(store: Store, conversation_id: str, start_id: str | None) -> AsyncIterator[Message]:
    """All messages by descending id, from `start_id` (itself included) or from the newest."""
    rows = await store.scan(conversation_id, upto=start_id, limit=WINDOW)
    while rows:
        for row in rows:
            yield row
        last = rows[-1].message_id
        rows = [row for row in await store.scan(conversation_id, upto=last, limit=WINDOW + 1) if row.message_id != last]
