"""What alembic runs the steps in: a connection, in a transaction, that `upgrade` hands over."""

from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from services.auth.sql.tables import metadata, schema_versions


def record(*, ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """Writes beside alembic's own mark what a release that does not know this step can read."""
    script: Any = step.up_revision
    assert ctx.connection
    row = {"version": int(script.revision), "works_from": script.module.works_from}
    ctx.connection.execute(schema_versions.insert().values(row))


connection = context.config.attributes["connection"]
context.configure(connection, target_metadata=metadata, on_version_apply=record)  # type: ignore[arg-type]
context.run_migrations()
