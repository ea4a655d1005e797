"""Messages on a shelf: an account's conversation, and the store that keeps it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from services.history.store import Message, Role, Store
from services.history.stores import open_store
from tests.cancellation.shelf import Shelf

SOME = 5


class HistoryShelf:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def check(self) -> None:
        await self._store.check()

    async def put(self, owner: str, key: str, value: str) -> None:
        await self._store.put(Message("default", owner, owner, key, None, Role.USER, value))

    async def get(self, owner: str, key: str) -> str | None:
        row = await self._store.get(owner, key)
        return row.text if row else None

    async def some(self, owner: str) -> Mapping[str, str]:
        return {row.message_id: row.text for row in await self._store.scan(owner, upto=None, limit=SOME)}


@asynccontextmanager
async def open_history(url: str) -> AsyncIterator[Shelf]:
    async with open_store(url) as store:
        yield HistoryShelf(store)
