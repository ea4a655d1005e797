"""`python -m services.history.restore < FILE`: writes the messages of a backup to PARLEY_STORE_URL.

Messages that are there stay as they are, so a restore that broke off is begun again.
"""

import asyncio
import sys
from functools import partial
from typing import BinaryIO

from services.chassis.archive import read_archive
from services.chassis.command import say, usable_store
from services.chassis.errors import DomainError
from services.chassis.process import RefusedError, run
from services.history.patience import patiently
from services.history.records import MESSAGES
from services.history.store import Message, Store
from services.history.stores import open_store

AT_ONCE = 16
"""Messages being written; with the largest ones, 32 megabytes."""


async def restore(store: Store, file: BinaryIO) -> int:
    """Returns how many messages the file has. Raises RefusedError at a file that is none of ours, is cut or damaged."""
    count = 0
    places = asyncio.Semaphore(AT_ONCE)

    async def write(message: Message) -> None:
        try:
            await patiently(partial(_restore, store, message))
        finally:
            places.release()

    try:
        async with asyncio.TaskGroup() as writing:
            for record in read_archive("history", file):
                await places.acquire()
                writing.create_task(write(MESSAGES.from_record(record)))
                count += 1
    except* (DomainError, RefusedError) as errors:
        raise errors.exceptions[0] from None
    return count


async def _restore(store: Store, message: Message) -> None:
    there = await store.get(message.conversation_id, message.message_id)
    if there is None:
        await store.put(message)
    if message.result and (there is None or there.result is None):
        await store.complete(message.conversation_id, message.message_id, message.result)


async def main() -> None:
    async with usable_store("history", open_store) as store:
        count = await restore(store, sys.stdin.buffer)
    say(f"history: {count} messages")


if __name__ == "__main__":
    run(main)
