"""Sessions."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from services.auth.records import Owner, Session
from services.auth.sql.database import Database
from services.auth.sql.owned import of, open_account
from services.auth.sql.stale import delete_stale
from services.auth.sql.tables import sessions

_OPEN_ACCOUNT = open_account()
_GET = select(sessions).where(sessions.c.session_id == bindparam("with_id"))


class SqlSessions:
    """A `SessionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, session: Session) -> bool:
        row = {
            "session_id": session.session_id,
            "tenant_id": session.owner.tenant_id,
            "account_id": session.owner.account_id,
            "token_hash": session.token_hash,
            "refresh_time": session.refresh_time,
            "expire_time": session.expire_time,
            "end_time": session.end_time,
        }

        def insert_and_clean(connection: Connection) -> bool:
            if connection.execute(_OPEN_ACCOUNT, of(session.owner)).one_or_none() is None:
                return False
            connection.execute(insert(sessions).values(row))
            delete_stale(connection, sessions, sessions.c.expire_time <= session.refresh_time)
            return True

        return await self._database.transaction(insert_and_clean)

    async def get(self, session_id: str) -> Session | None:
        row = await self._database.row(_GET, {"with_id": session_id})
        if row is None:
            return None
        return Session(
            owner=Owner(row.tenant_id, row.account_id),
            session_id=row.session_id,
            token_hash=row.token_hash,
            refresh_time=row.refresh_time,
            expire_time=row.expire_time,
            end_time=row.end_time,
        )

    async def refresh(self, session: Session, token_hash: bytes) -> bool:
        change = (
            update(sessions)
            .where(
                sessions.c.session_id == session.session_id,
                sessions.c.token_hash == token_hash,
                sessions.c.end_time.is_(None),
            )
            .values(token_hash=session.token_hash, refresh_time=session.refresh_time, expire_time=session.expire_time)
        )
        return await self._database.write(change) == 1

    async def end(self, session_id: str, now: datetime) -> None:
        change = (
            update(sessions)
            .where(sessions.c.session_id == session_id, sessions.c.end_time.is_(None))
            .values(end_time=now)
        )
        await self._database.write(change)
