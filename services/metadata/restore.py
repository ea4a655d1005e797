"""`python -m services.metadata.restore < FILE`: writes what a backup holds to PARLEY_STORE_URL.

What is there stays as it is, so a restore that broke off is begun again.
"""

import asyncio
import sys
from itertools import islice
from typing import BinaryIO

from services.chassis.archive import read_archive
from services.chassis.command import say, usable_store
from services.chassis.process import run
from services.metadata.records import from_record
from services.metadata.store import Conversation, Settings, Store
from services.metadata.stores import open_store

AT_ONCE = 16
"""Records being written."""


async def restore(store: Store, file: BinaryIO) -> tuple[int, int]:
    """Returns how many records the file has, and how many of them were not there.

    Raises RefusedError at a file that is none of ours, is cut or damaged.
    """
    read = written = 0
    records = read_archive("metadata", file)
    while some := [from_record(record) for record in islice(records, AT_ONCE)]:
        written += sum(await asyncio.gather(*(_put(store, row) for row in some)))
        read += len(some)
    return read, written


async def _put(store: Store, row: Conversation | Settings) -> bool:
    if isinstance(row, Conversation):
        return await store.create(row)
    return await store.put_settings(row, None)


async def main() -> None:
    async with usable_store("metadata", open_store) as store:
        read, written = await restore(store, sys.stdin.buffer)
    say(f"metadata: {read} records, {written} were not there")


if __name__ == "__main__":
    run(main)
