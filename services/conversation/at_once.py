"""The same work on many items, several at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def at_once(limit: int, work: Callable[[Item], Awaitable[Result]], items: Iterable[Item]) -> list[Result]:
    """The results, in no order. Raises what the first that fails raises, after the others have been cancelled."""
    left, results = iter(items), list[Result]()

    async def take() -> None:
        for item in left:
            results.append(await work(item))

    workers = [asyncio.create_task(take()) for _ in range(limit)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return results
