"""`python -m services.metadata.restore < FILE`: writes what a backup holds to PARLEY_STORE_URL.

What is there stays as it is, so a restore that broke off is begun again.
"""

import asyncio
import sys
from itertools import islice
from typing import BinaryIO

from services.chassis.archive import read_archive
from services.chassis.config import StoreSettings, load
from services.chassis.errors import DomainError
from services.chassis.process import RefusedError, run
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
    while some := [_row(record, read + n) for n, record in enumerate(islice(records, AT_ONCE), 1)]:
        written += sum(await asyncio.gather(*(_put(store, row) for row in some)))
        read += len(some)
    return read, written


async def _put(store: Store, row: Conversation | Settings) -> bool:
    if isinstance(row, Conversation):
        return await store.create(row)
    return await store.put_settings(row, None)


def _row(record: dict[str, object], number: int) -> Conversation | Settings:
    try:
        return from_record(record)
    except (KeyError, TypeError, ValueError):
        raise RefusedError(f"The backup is damaged: its record {number} is none of metadata.") from None


async def main() -> None:
    url = load(StoreSettings).store_url.get_secret_value()
    try:
        async with open_store(url) as store:
            await store.check()
            read, written = await restore(store, sys.stdin.buffer)
    except DomainError as error:
        raise RefusedError(f"metadata: {error.message}") from error
    print(f"metadata: {read} records, {written} were not there", file=sys.stderr)  # noqa: T201 - a command's answer


if __name__ == "__main__":
    run(main)
