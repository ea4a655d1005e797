"""`python -m services.metadata.backup > FILE`: writes all that PARLEY_STORE_URL remembers to a file."""

import sys
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from services.chassis.archive import write_archive
from services.chassis.command import say, usable_store
from services.chassis.process import run
from services.metadata.records import to_record
from services.metadata.store import Store
from services.metadata.stores import open_store


async def back_up(store: Store, file: BinaryIO) -> int:
    """Returns how many records there are. Raises DomainError UNAVAILABLE; the file is cut then, and says so."""

    async def records() -> AsyncIterator[Mapping[str, object]]:
        async for row in store.dump():
            yield to_record(row)

    return await write_archive("metadata", records(), file)


async def main() -> None:
    async with usable_store("metadata", open_store) as store:
        count = await back_up(store, sys.stdout.buffer)
    say(f"metadata: {count} records")


if __name__ == "__main__":
    run(main)
