"""Conversations on a shelf, and the store that keeps them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from services.metadata.store import Conversation, Filter, Owner, Store
from services.metadata.stores import open_store
from tests.cancellation.shelf import Shelf

SOME = 5


class MetadataShelf:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def check(self) -> None:
        await self._store.check()

    async def put(self, owner: str, key: str, value: str) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        row = Conversation(
            owner=Owner("default", owner),
            conversation_id=key,
            display_name="",
            model="m",
            system_prompt=value,
            current_leaf_id=None,
            pinned=False,
            archived=False,
            labels={},
            etag=key,
            created_as="",
            create_time=now,
            update_time=now,
        )
        # A driver may write again after a cut: then its first attempt has the id, and the service looks whose it is.
        assert await self._store.create(row) or await self.get(owner, key) == value

    async def get(self, owner: str, key: str) -> str | None:
        row = await self._store.get(Owner("default", owner), key)
        return row.system_prompt if row else None

    async def some(self, owner: str) -> Mapping[str, str]:
        rows = await self._store.list(Owner("default", owner), Filter(), after=None, limit=SOME)
        return {row.conversation_id: row.system_prompt for row in rows}


@asynccontextmanager
async def open_metadata(url: str) -> AsyncIterator[Shelf]:
    async with open_store(url) as store:
        yield MetadataShelf(store)
