"""API keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, insert, select, update

from services.auth.records import ApiKey, KeyCreating, Owner
from services.auth.sql.database import Database
from services.auth.sql.owned import of, owned
from services.auth.sql.tables import UtcTime, accounts, api_keys

_usable = and_(owned(api_keys), api_keys.c.revoke_time.is_(None))

_TAKE_TURN = select(accounts.c.close_time).where(owned(accounts)).with_for_update(key_share=True)
"""Where writers run side by side, those of one account wait for each other here."""
_COUNT = select(func.count()).select_from(api_keys).where(_usable)
_FIND = select(api_keys).where(api_keys.c.secret_hash == bindparam("with_hash"))
_REVOKE = (
    update(api_keys)
    .where(owned(api_keys), api_keys.c.api_key_id == bindparam("with_id"))
    .values(revoke_time=func.coalesce(api_keys.c.revoke_time, bindparam("now", type_=UtcTime())))
)


class SqlApiKeys:
    """An `ApiKeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: ApiKey, limit: int) -> KeyCreating:
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
        mine = of(key.owner)

        def insert_within_limit(connection: Connection) -> KeyCreating:
            account = connection.execute(_TAKE_TURN, mine).one_or_none()
            if account is None or account.close_time:
                return KeyCreating.CLOSED
            if connection.execute(_COUNT, mine).scalar_one() >= limit:
                return KeyCreating.EXCEEDED
            connection.execute(insert(api_keys).values(row))
            return KeyCreating.CREATED

        return await self._database.transaction(insert_within_limit)

    async def find(self, secret_hash: bytes) -> ApiKey | None:
        row = await self._database.row(_FIND, {"with_hash": secret_hash})
        return _api_key(row) if row else None

    async def list(self, owner: Owner, *, before: str | None, limit: int) -> Sequence[ApiKey]:
        wanted = select(api_keys).where(_usable).order_by(api_keys.c.api_key_id.desc()).limit(limit)
        if before:
            wanted = wanted.where(api_keys.c.api_key_id < before)
        return [_api_key(row) for row in await self._database.rows(wanted, of(owner))]

    async def revoke(self, owner: Owner, api_key_id: str, now: datetime) -> bool:
        return await self._database.write(_REVOKE, of(owner) | {"with_id": api_key_id, "now": now}) == 1


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
