"""API keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, literal, select, update

from services.auth.records import ApiKey, Owner
from services.auth.sql.database import Database
from services.auth.sql.tables import UtcTime, accounts, api_keys


class SqlApiKeys:
    """An `ApiKeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: ApiKey, limit: int) -> bool:
        row = {
            "api_key_id": key.api_key_id,
            "tenant_id": key.owner.tenant_id,
            "account_id": key.owner.account_id,
            "display_name": key.display_name,
            "secret_prefix": key.secret_prefix,
            "secret_hash": key.secret_hash,
            "expire_time": key.expire_time,
            "revoke_time": key.revoke_time,
        }
        # Where writers run side by side, those of one account wait for each other here.
        turn = select(accounts.c.account_id).where(accounts.c.account_id == key.owner.account_id).with_for_update()
        count = select(func.count()).select_from(api_keys).where(_usable(key.owner))

        def insert_within_limit(connection: Connection) -> bool:
            connection.execute(turn)
            if connection.execute(count).scalar_one() >= limit:
                return False
            connection.execute(insert(api_keys).values(row))
            return True

        return await self._database.transaction(insert_within_limit)

    async def find(self, secret_hash: bytes) -> ApiKey | None:
        row = await self._database.row(select(api_keys).where(api_keys.c.secret_hash == secret_hash))
        return _api_key(row) if row else None

    async def list(self, owner: Owner, *, before: str | None, limit: int) -> Sequence[ApiKey]:
        wanted = select(api_keys).where(_usable(owner)).order_by(api_keys.c.api_key_id.desc()).limit(limit)
        if before:
            wanted = wanted.where(api_keys.c.api_key_id < before)
        return [_api_key(row) for row in await self._database.rows(wanted)]

    async def revoke(self, owner: Owner, api_key_id: str, now: datetime) -> bool:
        change = (
            update(api_keys)
            .where(_owned(owner), api_keys.c.api_key_id == api_key_id)
            .values(revoke_time=func.coalesce(api_keys.c.revoke_time, literal(now, UtcTime())))
        )
        return await self._database.write(change) == 1


def _owned(owner: Owner) -> ColumnElement[bool]:
    return and_(api_keys.c.tenant_id == owner.tenant_id, api_keys.c.account_id == owner.account_id)


def _usable(owner: Owner) -> ColumnElement[bool]:
    return and_(_owned(owner), api_keys.c.revoke_time.is_(None))


def _api_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        owner=Owner(row.tenant_id, row.account_id),
        api_key_id=row.api_key_id,
        display_name=row.display_name,
        secret_prefix=row.secret_prefix,
        secret_hash=row.secret_hash,
        expire_time=row.expire_time,
        revoke_time=row.revoke_time,
    )
