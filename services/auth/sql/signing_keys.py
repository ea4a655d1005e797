"""Signing keys."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from services.auth.records import SigningKey
from services.auth.sql.database import Database
from services.auth.sql.tables import signing_keys


class SqlSigningKeys:
    """A `SigningKeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Sequence[SigningKey]:
        rows = await self._database.rows(select(signing_keys).order_by(signing_keys.c.generation))
        return [SigningKey(**row._mapping) for row in rows]  # noqa: SLF001 - public in spite of its name

    async def add(self, key: SigningKey) -> bool:
        row = {
            "generation": key.generation,
            "key_id": key.key_id,
            "public_key": key.public_key,
            "sealed_private_key": key.sealed_private_key,
            "activate_time": key.activate_time,
        }
        added = self._database.insert(signing_keys).values(row).on_conflict_do_nothing()
        return await self._database.write(added) == 1

    async def drop(self, below: int) -> None:
        await self._database.write(delete(signing_keys).where(signing_keys.c.generation < below))
