"""The schema of the database: its index, and the document that says which version it has."""

import pymongo
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from services.chassis.errors import DomainError, Reason
from services.chassis.schema import Schema, require
from services.metadata.mongodb.client import Document, as_unavailable, connect

KNOWN = Schema(version=1, works_from=1)
COMMAND = "python -m services.metadata.migrate"
CONVERSATIONS, SETTINGS, SCHEMA = "conversations", "settings", "schema"

ORDER = [("place", DESCENDING)]
LISTED = IndexModel([("place", ASCENDING), ("folded_name", ASCENDING)], name="listed")
"""Of names, too, so that a search reads them here instead of in the documents."""
BUILD_SECONDS = 3_600.0
"""How long an index may take to build; on a large collection it takes minutes."""

_STORE = "metadata"
_EMPTY = Schema(version=0, works_from=0)


async def require_schema(database: AsyncDatabase[Document]) -> None:
    """Raises DomainError UNAVAILABLE or RefusedError unless this release may work on what is there."""
    require(await _find(database), KNOWN.version, store=_STORE, command=COMMAND)
    indexes = await (await database[CONVERSATIONS].list_indexes()).to_list()
    if all(index["key"] != LISTED.document["key"] for index in indexes):
        raise DomainError(Reason.UNAVAILABLE, f"{_STORE} lacks an index: run `{COMMAND}`.", retry_after=1)


async def migrate_mongodb(url: str) -> tuple[Schema, Schema]:
    """Brings the schema up to date; returns it as it was and as it is. Raises RefusedError, UNAVAILABLE."""
    async with connect(url) as database:
        with as_unavailable(refuse_credentials=True):
            return await migrate(database)


async def migrate(database: AsyncDatabase[Document]) -> tuple[Schema, Schema]:
    """Every step may be taken twice, and by two at once. A schema that a newer release made stays as it is."""
    before = await _find(database)
    if before.version <= KNOWN.version:
        with pymongo.timeout(BUILD_SECONDS):
            await database[CONVERSATIONS].create_indexes([LISTED])
        await _raise_to(database, KNOWN)
    after = await _find(database)
    require(after, KNOWN.version, store=_STORE, command=COMMAND)
    return before, after


async def _find(database: AsyncDatabase[Document]) -> Schema:
    found = await database[SCHEMA].find_one({"_id": _STORE})
    return Schema(found["version"], found["works_from"]) if found else _EMPTY


async def _raise_to(database: AsyncDatabase[Document], schema: Schema) -> None:
    """Never lowers what somebody else has raised meanwhile."""
    change = {"$max": {"version": schema.version, "works_from": schema.works_from}}
    try:
        await database[SCHEMA].update_one({"_id": _STORE}, change, upsert=True)
    except DuplicateKeyError:  # two inserted it at once
        await database[SCHEMA].update_one({"_id": _STORE}, change)
