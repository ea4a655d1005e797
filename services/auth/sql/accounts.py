"""Accounts and their passwords' hashes."""

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from services.auth.records import Account, Credential, Owner
from services.auth.sql.database import Database
from services.auth.sql.tables import accounts, credentials


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
        }
        secret = {"account_id": account.owner.account_id, "password_hash": password_hash}

        def both(connection: Connection) -> None:
            connection.execute(insert(accounts).values(row))
            connection.execute(insert(credentials).values(secret))

        try:
            await self._database.transaction(both)
        except IntegrityError:
            return False
        return True

    async def get(self, owner: Owner) -> Account | None:
        wanted = select(accounts).where(
            accounts.c.tenant_id == owner.tenant_id, accounts.c.account_id == owner.account_id
        )
        row = await self._database.row(wanted)
        return _account(row) if row else None

    async def credential(self, email: str) -> Credential | None:
        wanted = (
            select(accounts, credentials.c.password_hash)
            .join(credentials, credentials.c.account_id == accounts.c.account_id)
            .where(accounts.c.email == email)
        )
        row = await self._database.row(wanted)
        return Credential(_account(row), row.password_hash) if row else None

    async def replace_password_hash(self, owner: Owner, old: str, new: str) -> bool:
        mine = select(accounts.c.account_id).where(
            accounts.c.tenant_id == owner.tenant_id, accounts.c.account_id == owner.account_id
        )
        change = (
            update(credentials)
            .where(credentials.c.account_id.in_(mine), credentials.c.password_hash == old)
            .values(password_hash=new)
        )
        return await self._database.write(change) == 1


def _account(row: Row[Any]) -> Account:
    return Account(Owner(row.tenant_id, row.account_id), row.email, row.display_name, tuple(row.roles))
