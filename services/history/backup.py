"""`python -m services.history.backup > FILE`: writes every message of PARLEY_STORE_URL to a file."""

import sys
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from services.chassis.archive import write_archive
from services.chassis.config import StoreSettings, load
from services.chassis.errors import DomainError
from services.chassis.process import RefusedError, run
from services.history.records import to_record
from services.history.store import Message
from services.history.stores import open_store


async def back_up(messages: AsyncIterator[Message], file: BinaryIO) -> int:
    """Returns how many there are. What they raise leaves a file that is refused, because it is cut."""

    async def records() -> AsyncIterator[Mapping[str, object]]:
        async for message in messages:
            yield to_record(message)

    return await write_archive("history", records(), file)


async def main() -> None:
    url = load(StoreSettings).store_url.get_secret_value()
    try:
        async with open_store(url) as store:
            await store.check()
            count = await back_up(store.dump(), sys.stdout.buffer)
    except DomainError as error:
        raise RefusedError(f"history: {error.message}") from error
    print(f"history: {count} messages", file=sys.stderr)  # noqa: T201 - a command's answer


if __name__ == "__main__":
    run(main)
