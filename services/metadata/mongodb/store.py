"""Conversations and settings in MongoDB."""

import asyncio
import heapq
import secrets
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from services.metadata.mongodb.calls import Calls
from services.metadata.mongodb.client import Document, as_unavailable, connect, connections, unavailable
from services.metadata.mongodb.documents import (
    of_owner,
    to_change,
    to_conversation,
    to_document,
    to_settings,
    to_settings_document,
)
from services.metadata.mongodb.places import key_of, order_of, to_filters
from services.metadata.mongodb.schema import CONVERSATIONS, ORDER, SETTINGS, require_schema
from services.metadata.store import Conversation, Filter, Owner, Position, Settings

T = TypeVar("T")

DUMPED_AT_ONCE = 100
"""Documents, of up to some 50 KiB each."""


@asynccontextmanager
async def open_mongodb(url: str) -> AsyncIterator["MongoStore"]:
    """Raises RefusedError for a bad URL. The server may be away."""
    async with connect(url) as database, Calls(connections(database)) as calls:
        yield MongoStore(database, calls)


class MongoStore:
    """A `Store`."""

    def __init__(self, database: AsyncDatabase[Document], calls: Calls) -> None:
        self._database, self._calls = database, calls
        self._conversations, self._settings = database[CONVERSATIONS], database[SETTINGS]
        self._checked = False

    async def create(self, conversation: Conversation) -> bool:
        return await self._insert(self._conversations, to_document(conversation))

    async def get(self, owner: Owner, conversation_id: str) -> Conversation | None:
        found = await self._run(self._conversations.find_one({"_id": conversation_id, **of_owner(owner)}))
        return to_conversation(found) if found else None

    async def list(self, owner: Owner, narrow: Filter, *, after: Position | None, limit: int) -> Sequence[Conversation]:
        async def find(wanted: Document) -> list[Document]:
            return await self._run(
                self._conversations.find(wanted, sort=ORDER, limit=limit, batch_size=limit).to_list()
            )

        found = await asyncio.gather(*map(find, to_filters(owner, narrow, after)))
        rows = heapq.merge(*(map(to_conversation, documents) for documents in found), key=order_of, reverse=True)
        return list(rows)[:limit]

    async def replace(self, conversation: Conversation, etag: str) -> bool:
        wanted = {"_id": conversation.conversation_id, **of_owner(conversation.owner), "etag": etag}
        return await self._update(self._conversations, wanted, to_document(conversation))

    async def delete(self, owner: Owner, conversation_id: str) -> bool:
        deleted = await self._run(self._conversations.delete_one({"_id": conversation_id, **of_owner(owner)}))
        return deleted.deleted_count == 1

    async def settings(self, owner: Owner) -> Settings | None:
        found = await self._run(self._settings.find_one({"_id": key_of(owner)}))
        return to_settings(found) if found else None

    async def put_settings(self, settings: Settings, etag: str | None) -> bool:
        document = to_settings_document(settings)
        if etag is None:
            return await self._insert(self._settings, document)
        return await self._update(self._settings, {"_id": document["_id"], "etag": etag}, document)

    async def delete_settings(self, owner: Owner) -> bool:
        return (await self._run(self._settings.delete_one({"_id": key_of(owner)}))).deleted_count == 1

    async def dump(self) -> AsyncIterator[Conversation | Settings]:
        async for document in self._documents(self._conversations):
            yield to_conversation(document)
        async for document in self._documents(self._settings):
            yield to_settings(document)

    async def check(self) -> None:
        with as_unavailable(refuse_credentials=not self._checked):
            await self._calls.run(require_schema(self._database))
        self._checked = True

    async def _insert(self, collection: AsyncCollection[Document], document: Document) -> bool:
        """False if the `_id` is taken."""
        marked = _marked(document)
        try:
            await self._run(collection.insert_one(marked))
        except DuplicateKeyError:
            return await self._is_there(collection, marked)
        return True

    async def _update(self, collection: AsyncCollection[Document], wanted: Document, document: Document) -> bool:
        """False if there is no such document."""
        marked = _marked(document)
        updated = await self._run(collection.update_one(wanted, to_change(marked)))
        return updated.matched_count == 1 or await self._is_there(collection, marked)

    async def _is_there(self, collection: AsyncCollection[Document], marked: Document) -> bool:
        """Whether a write that missed had counted before: the driver repeats one whose answer was lost, and not every
        server knows it again."""
        found = collection.find_one({"_id": marked["_id"], "written_as": marked["written_as"]}, {"_id": 1})
        return await self._run(found) is not None

    async def _documents(self, collection: AsyncCollection[Document]) -> AsyncIterator[Document]:
        """All of a collection, by `_id`, each page of them an operation of its own."""
        wanted: dict[str, Any] = {}
        while page := await self._run(collection.find(wanted, sort=[("_id", 1)], limit=DUMPED_AT_ONCE).to_list()):
            for document in page:
                yield document
            wanted = {"_id": {"$gt": page[-1]["_id"]}}

    async def _run(self, operation: Coroutine[Any, Any, T]) -> T:
        """Before a check has passed nothing is asked of the database."""
        if not self._checked:
            operation.close()
            raise unavailable()
        with as_unavailable():
            return await self._calls.run(operation)


def _marked(document: Document) -> Document:
    """Unlike every other write's."""
    return {**document, "written_as": secrets.token_hex(8)}
