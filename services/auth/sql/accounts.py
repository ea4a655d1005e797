"""Accounts and their passwords' hashes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from services.auth.records import Account, Credential, Owner
from services.auth.sql.database import Database
from services.auth.sql.deletion import delete_account
from services.auth.sql.owned import of, owned
from services.auth.sql.tables import UtcTime, accounts, credentials

_GET = select(accounts).where(owned(accounts))
_CREDENTIAL = (
    select(accounts, credentials.c.password_hash)
    .join(credentials, credentials.c.account_id == accounts.c.account_id)
    .where(accounts.c.email == bindparam("with_email"))
)
_REPLACE = (
    update(credentials)
    .where(
        credentials.c.account_id.in_(select(accounts.c.account_id).where(owned(accounts))),
        credentials.c.password_hash == bindparam("old"),
    )
    .values(password_hash=bindparam("new"))
)
_CLOSE = (
    update(accounts)
    .where(owned(accounts))
    .values(close_time=func.coalesce(accounts.c.close_time, bindparam("now", type_=UtcTime())))
)


class SqlAccounts:
    """An `AccountStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, account: Account, password_hash: str) -> bool:
        row = {
            "account_id": account.owner.account_id,
            "tenant_id": account.owner.tenant_id,
            "email": account.email,
            "display_name": account.display_name,
            "roles": list(account.roles),
            "close_time": account.close_time,
        }
        secret = {"account_id": account.owner.account_id, "password_hash": password_hash}

        # An error would do as well, but PostgreSQL writes those to its log, with the address.
        free = self._database.insert(accounts).on_conflict_do_nothing()

        def both(connection: Connection) -> bool:
            if connection.execute(free, row).rowcount == 0:
                return False
            connection.execute(insert(credentials), secret)
            return True

        return await self._database.transaction(both)

    async def get(self, owner: Owner) -> Account | None:
        row = await self._database.row(_GET, of(owner))
        return _account(row) if row else None

    async def credential(self, email: str) -> Credential | None:
        row = await self._database.row(_CREDENTIAL, {"with_email": email})
        return Credential(_account(row), row.password_hash) if row else None

    async def replace_password_hash(self, owner: Owner, old: str, new: str) -> bool:
        return await self._database.write(_REPLACE, of(owner) | {"old": old, "new": new}) == 1

    async def close(self, owner: Owner, now: datetime) -> bool:
        return await self._database.write(_CLOSE, of(owner) | {"now": now}) == 1

    async def delete(self, owner: Owner, subject: str) -> Mapping[str, int] | None:
        return await self._database.transaction(lambda connection: delete_account(connection, owner, subject))


def _account(row: Row[Any]) -> Account:
    owner = Owner(row.tenant_id, row.account_id)
    return Account(owner, row.email, row.display_name, tuple(row.roles), row.close_time)
