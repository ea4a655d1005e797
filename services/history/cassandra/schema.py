# ruff: noqa: S608 - names have no placeholders; the keyspace's was checked when the URL was read
"""The schema of the keyspace, in steps, and the command that applies them: twice or by two at once does no harm."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.schema import Schema, require
from services.history.cassandra.cluster import unavailable
from services.history.cassandra.session import Session, open_session
from services.history.cassandra.url import Address, parse

COMMAND = "python -m services.history.migrate"
LOCK_SECONDS = 45
"""After which the next migration goes on, where one died. Renewed before each statement; longer than one takes."""


@dataclass(frozen=True, slots=True)
class Step:
    """What leads to a version. Each statement may be run again where it was run already."""

    statements: tuple[str, ...]
    works_from: int
    """The lowest version that a release must know to work on this one."""


STEPS = (
    Step(
        (
            """
            CREATE TYPE IF NOT EXISTS {keyspace}.message_request (
                model text, temperature double, top_p double, max_output_tokens int, stop frozen<list<text>>,
                seed bigint, system_prompt text, context_start_id text)
            """,
            """
            CREATE TYPE IF NOT EXISTS {keyspace}.message_body (
                tenant_id text, account_id text, parent_id text, role text, text text, request frozen<message_request>)
            """,
            """
            CREATE TYPE IF NOT EXISTS {keyspace}.message_result (
                status text, text text, finish_reason text, prompt_tokens int, completion_tokens int,
                failure_reason text, complete_micros bigint)
            """,
            """
            CREATE TABLE IF NOT EXISTS {keyspace}.messages (
                conversation_id text, segment text, message_id text,
                size bigint, body frozen<message_body>, result_size bigint, result frozen<message_result>,
                PRIMARY KEY ((conversation_id, segment), message_id))
            WITH CLUSTERING ORDER BY (message_id DESC) AND compaction = {{'class': 'UnifiedCompactionStrategy'}}
            """,
            """
            CREATE TABLE IF NOT EXISTS {keyspace}.children (
                conversation_id text, segment text, parent_id text, message_id text,
                PRIMARY KEY ((conversation_id, segment), parent_id, message_id))
            WITH compaction = {{'class': 'UnifiedCompactionStrategy'}}
            """,
            """
            CREATE TABLE IF NOT EXISTS {keyspace}.segments (
                conversation_id text PRIMARY KEY, starts frozen<list<text>>, large boolean)
            """,
        ),
        works_from=1,
    ),
)


async def find(session: Session, keyspace: str) -> Schema:
    """The schema that a keyspace has."""
    return await recorded(session, keyspace) if await _has_versions(session, keyspace) else Schema(0, 0)


async def recorded(session: Session, keyspace: str) -> Schema:
    """The schema of a keyspace that has one."""
    rows = await session.read(f"SELECT version, works_from FROM {keyspace}.schema_version WHERE name = 'history'")
    version, works_from = rows[0] if rows else (None, None)
    return Schema(version or 0, works_from or 0)


def require_known(found: Schema, steps: Sequence[Step]) -> None:
    """Raises RefusedError at a schema that is too new, and DomainError UNAVAILABLE at one that is too old."""
    require(found, len(steps), store="history", command=COMMAND)


async def migrate_cassandra(url: str, steps: Sequence[Step] = STEPS) -> tuple[Schema, Schema]:
    """Applies what is missing; returns the schema before and after.

    Raises RefusedError, and DomainError UNAVAILABLE where the store is away or another migration runs.
    """
    address = parse(url)
    session = await open_session(address)
    try:
        return await _migrate(session, address, steps)
    finally:
        await session.close()


async def _migrate(session: Session, address: Address, steps: Sequence[Step]) -> tuple[Schema, Schema]:
    await _create(session, address)
    before = await find(session, address.keyspace)
    if before.version >= len(steps):
        require_known(before, steps)
        return before, before
    owner = secrets.token_hex(8)
    lock = _Lock(session, address.keyspace, owner)
    await lock.take()
    try:
        before = after = await find(session, address.keyspace)
        for version, step in enumerate(steps[before.version :], before.version + 1):
            for statement in step.statements:
                await lock.renew()
                await session.define(statement.format(keyspace=address.keyspace))
            after = Schema(version, step.works_from)
            await lock.record(after)
    finally:
        await lock.release()
    return before, after


async def _create(session: Session, address: Address) -> None:
    """The keyspace and the table of versions, where they are missing: who may not create may find them made."""
    keyspace = address.keyspace
    known = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s"
    if not await session.read(known, (keyspace,)):
        copies = f"{{'class': 'NetworkTopologyStrategy', '{address.datacenter}': {address.replication_factor}}}"
        await session.define(f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {copies}")
    if await _has_versions(session, keyspace):
        return
    # Two at once make the same table, because they give it the same id.
    table_id = uuid.uuid5(uuid.NAMESPACE_OID, f"parley/{keyspace}/schema_version")
    await session.define(
        f"CREATE TABLE IF NOT EXISTS {keyspace}.schema_version "
        f"(name text PRIMARY KEY, version int, works_from int, owner text) WITH id = {table_id}"
    )


async def _has_versions(session: Session, keyspace: str) -> bool:
    tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = 'schema_version'"
    return bool(await session.read(tables, (keyspace,)))


class _Lock:
    """Who may change the schema. It lapses, and each change says under which owner it is made."""

    def __init__(self, session: Session, keyspace: str, owner: str) -> None:
        self._session = session
        self._table = f"{keyspace}.schema_version"
        self._owner = owner

    async def take(self) -> None:
        await self._own("IF owner = null")

    async def renew(self) -> None:
        await self._own(f"IF owner = '{self._owner}'")

    async def record(self, schema: Schema) -> None:
        changes = f"version = {schema.version}, works_from = {schema.works_from}"
        await self._apply(f"UPDATE {self._table} SET {changes} WHERE name = 'history' IF owner = '{self._owner}'")

    async def release(self) -> None:
        await self._session.write(
            f"UPDATE {self._table} SET owner = null WHERE name = 'history' IF owner = '{self._owner}'"
        )

    async def _own(self, condition: str) -> None:
        mine = f"SET owner = '{self._owner}'"
        await self._apply(f"UPDATE {self._table} USING TTL {LOCK_SECONDS} {mine} WHERE name = 'history' {condition}")

    async def _apply(self, statement: str) -> None:
        if not (await self._session.write(statement))[0][0]:
            raise unavailable("Another migration of the store is running.")
