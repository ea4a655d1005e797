"""`python -m services.history.backup > FILE`: writes every message of PARLEY_STORE_URL to a file."""

import sys
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from services.chassis.archive import write_archive
from services.chassis.command import say, usable_store
from services.chassis.process import run
from services.history.records import MESSAGES
from services.history.store import Message
from services.history.stores import open_store


async def back_up(messages: AsyncIterator[Message], file: BinaryIO) -> int:
    """Returns how many there are. What they raise leaves a file that is refused, because it is cut."""

    async def records() -> AsyncIterator[Mapping[str, object]]:
        async for message in messages:
            yield MESSAGES.to_record(message)

    return await write_archive("history", records(), file)


async def main() -> None:
    async with usable_store("history", open_store) as store:
        count = await back_up(store.dump(), sys.stdout.buffer)
    say(f"history: {count} messages")


if __name__ == "__main__":
    run(main)
