"""`python -m services.metadata.backup > FILE`: writes all that PARLEY_STORE_URL remembers to a file."""

import sys
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from services.chassis.archive import write_archive
from services.chassis.config import StoreSettings, load
from services.chassis.errors import DomainError
from services.chassis.process import RefusedError, run
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
    url = load(StoreSettings).store_url.get_secret_value()
    try:
        async with open_store(url) as store:
            await store.check()
            count = await back_up(store, sys.stdout.buffer)
    except DomainError as error:
        raise RefusedError(f"metadata: {error.message}") from error
    print(f"metadata: {count} records", file=sys.stderr)  # noqa: T201 - a command's answer


if __name__ == "__main__":
    run(main)
