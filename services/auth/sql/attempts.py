"""Attempts to sign in. Old rows go with the next attempts, so there are never many more than one window's attempts."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, delete

from services.auth.sql.database import Database
from services.auth.sql.stale import delete_stale
from services.auth.sql.tables import sign_in_attempts


class SqlAttempts:
    """An `AttemptStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def attempt(self, subject: str, now: datetime, window_end: datetime) -> tuple[int, datetime]:
        table = sign_in_attempts
        first = self._database.insert(table).values(subject=subject, attempts=1, window_end=window_end)
        has_ended = table.c.window_end <= now
        count = first.on_conflict_do_update(
            index_elements=[table.c.subject],
            set_={
                "attempts": case((has_ended, 1), else_=table.c.attempts + 1),
                "window_end": case((has_ended, first.excluded.window_end), else_=table.c.window_end),
            },
        ).returning(table.c.attempts, table.c.window_end)

        def count_and_clean(connection: Connection) -> Row[Any]:
            counted = connection.execute(count).one()
            delete_stale(connection, table, has_ended)
            return counted

        row = await self._database.transaction(count_and_clean)
        return row.attempts, row.window_end

    async def clear(self, subject: str) -> None:
        await self._database.write(delete(sign_in_attempts).where(sign_in_attempts.c.subject == subject))
