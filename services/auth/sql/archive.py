"""Rows as the records of a backup: {"table": …, and each column}; times as ISO 8601, bytes as base64."""

import base64
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from sqlalchemy import JSON, Column, Connection, LargeBinary, Table, select
from sqlalchemy.exc import IntegrityError

from services.auth.sql.database import Database
from services.auth.sql.snapshot import Snapshot
from services.auth.sql.tables import UtcTime, metadata, schema_versions
from services.chassis.process import RefusedError

_TABLES = {table.name: table for table in metadata.sorted_tables if table is not schema_versions}
"""In an order in which they can be written."""
_TABLE = "table"
_BATCH = 500
"""Rows that are written in one transaction."""


async def records(snapshot: Snapshot) -> AsyncIterator[Mapping[str, object]]:
    """All rows of all tables."""
    for name, table in _TABLES.items():
        async for row in snapshot.rows(select(table)):
            yield {_TABLE: name, **{column: _written(value) for column, value in row._mapping.items()}}  # noqa: SLF001 - public


async def restore(database: Database, found: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Writes rows that are not there; returns how many there were, and how many of them were not there.

    Raises RefusedError, and DomainError UNAVAILABLE; what was written until then stays, and the call can be repeated.
    """
    read = written = 0
    for name, group in groupby(found, lambda record: record.get(_TABLE)):
        table = _TABLES.get(str(name))
        if table is None:
            raise RefusedError("The backup has a table that this release does not know.")
        rows = (_row(table, record) for record in group)
        while batch := list(islice(rows, _BATCH)):
            read += len(batch)
            written += await _insert(database, table, batch)
    return read, written


async def _insert(database: Database, table: Table, rows: list[dict[str, Any]]) -> int:
    insert = database.insert(table).on_conflict_do_nothing()

    def work(connection: Connection) -> int:
        return connection.execute(insert, rows).rowcount

    try:
        return await database.transaction(work)
    except IntegrityError:
        raise _damaged(table) from None


def _written(value: object) -> object:
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return value.isoformat()
        case _:
            return value


def _row(table: Table, record: Mapping[str, Any]) -> dict[str, Any]:
    if record.keys() - {_TABLE} - set(table.columns.keys()):
        raise RefusedError(f"The backup has columns of {table.name} that this release does not know.")
    try:
        return {column.name: _read(column, record.get(column.name)) for column in table.columns}
    except (TypeError, ValueError):
        raise _damaged(table) from None


def _read(column: Column[Any], value: Any) -> object:
    if value is None:
        return None
    match column.type:
        case LargeBinary():
            return base64.b64decode(value, validate=True)
        case UtcTime():
            return datetime.fromisoformat(value)
        case JSON():
            wanted: type = list
        case plain:
            wanted = plain.python_type
    if not isinstance(value, wanted):
        raise TypeError
    return value


def _damaged(table: Table) -> RefusedError:
    return RefusedError(f"The backup is damaged: it has a row of {table.name} that cannot be one.")
