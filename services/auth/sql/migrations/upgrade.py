"""Applies the steps that a database lacks."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect

from services.auth.sql.tables import schema_versions

_ONE_AT_A_TIME = threading.Lock()
"""What alembic's steps work on is one for the whole process."""


def upgrade(connection: Connection, version: int) -> None:
    """Applies every step above `version` in the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        if version and not inspect(connection).has_table(schema_versions.name):
            # The first release left no mark that alembic knows.
            schema_versions.create(connection)
            command.stamp(config, f"{version:04}")
        command.upgrade(config, "head")
