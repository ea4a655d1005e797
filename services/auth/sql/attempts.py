"""Attempts to sign in. Old rows go with the next attempt, so there are never more than one window's attempts."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete

from services.auth.sql.database import Database
from services.auth.sql.tables import sign_in_attempts


class SqlAttempts:
    """An `AttemptStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def attempt(self, subject: str, now: datetime, window_end: datetime) -> tuple[int, datetime]:
        table = sign_in_attempts
        count = (
            self._database.insert(table)
            .values(subject=subject, attempts=1, window_end=window_end)
            .on_conflict_do_update(index_elements=[table.c.subject], set_={"attempts": table.c.attempts + 1})
            .returning(table.c.attempts, table.c.window_end)
        )

        def clean_and_count(connection: Connection) -> Row[Any]:
            connection.execute(delete(table).where(table.c.window_end <= now))
            return connection.execute(count).one()

        row = await self._database.transaction(clean_and_count)
        return row.attempts, row.window_end

    async def clear(self, subject: str) -> None:
        await self._database.write(delete(sign_in_attempts).where(sign_in_attempts.c.subject == subject))
