"""What a source of endpoints tells."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.conversation.routing.endpoints import Endpoints


class Told:
    def __init__(self) -> None:
        self.all: list[set[str]] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, addresses: frozenset[str]) -> None:
        self.all.append(set(addresses))
        task = asyncio.create_task(self._wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, *addresses: str) -> None:
        """Returns when these were told last."""
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: bool(self.all) and self.all[-1] == set(addresses))

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def followed(source: Endpoints) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.create_task(source.follow(told))
    try:
        yield told
        assert not task.done() or task.exception() is None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
