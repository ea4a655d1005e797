"""Rows that nobody needs any more go a few at a time, with the work that adds new ones."""

from sqlalchemy import ColumnElement, Connection, Table, delete, select

LIMIT = 100
"""The most that go at once: more than one, so that they grow fewer, and few enough to wait for."""


def delete_stale(connection: Connection, table: Table, stale: ColumnElement[bool]) -> None:
    """Deletes rows of a table with one key column. Those that another is at are left to it, so nobody waits."""
    (key,) = table.primary_key
    rows = select(key).where(stale).limit(LIMIT).with_for_update(skip_locked=True)
    connection.execute(delete(table).where(key.in_(rows)))
