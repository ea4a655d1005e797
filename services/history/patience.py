"""Long work on a store that is away for moments."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.chassis.errors import DomainError, Reason

TRIES = 10
PAUSE_SECONDS = 1.0

T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Makes a call that may be repeated, again while the store is not available; gives up after TRIES."""
    for _ in range(TRIES - 1):
        try:
            return await call()
        except DomainError as error:
            if error.reason is not Reason.UNAVAILABLE:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
    return await call()
