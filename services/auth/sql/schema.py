"""The version of the schema that a database has, and how it gets the one of this release."""

from collections.abc import Sequence

from sqlalchemy import Connection, inspect, select, text

from services.auth.sql.tables import schema_versions
from services.chassis.schema import Schema, require

VERSION = 2
"""What this release knows."""

_STORE = "auth"
_COMMAND = "python -m services.auth.migrate"


def require_schema(connection: Connection) -> None:
    """Raises RefusedError where the schema is too new, and DomainError UNAVAILABLE where it is too old."""
    require(schema_of(connection), VERSION, store=_STORE, command=_COMMAND)


def schema_of(connection: Connection) -> Schema:
    inspector = inspect(connection)
    if inspector.has_table(schema_versions.name):
        newest = select(schema_versions).order_by(schema_versions.c.version.desc()).limit(1)
        row = connection.execute(newest).one_or_none()
        return Schema(row.version, row.works_from) if row else Schema(0, 0)
    # The first release wrote no version that every database could read.
    return Schema(1, 1) if inspector.has_table("accounts") else Schema(0, 0)


def migrate(connection: Connection, alone: Sequence[str]) -> tuple[Schema, Schema]:
    """Brings the schema up to date in the connection's transaction; returns it as it was and as it is.

    `alone` makes others who do the same wait. A schema that is newer stays. Raises RefusedError if it is too new.
    """
    for statement in alone:
        connection.execute(text(statement))
    before = schema_of(connection)
    if before.version < VERSION:
        # Not every start needs what takes half a second to import.
        from services.auth.sql.migrations.upgrade import upgrade

        upgrade(connection, before.version)
    require_schema(connection)
    return before, schema_of(connection)
