"""The schema: how it comes to be, grows, and is refused."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command as alembic
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, insert, inspect, select, text, update

from services.auth.records import Credential, Reserving
from services.auth.sql import migrations
from services.auth.sql.database import Database
from services.auth.sql.schema import VERSION
from services.auth.sql.store import sql_store
from services.auth.sql.tables import metadata, schema_versions
from services.auth.stores import open_database
from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError
from services.chassis.schema import Schema
from tests.auth.contract_accounts import NOW, new_account, registered
from tests.auth.contract_ledger import PERIOD, balance, reservation, reserve, settle
from tests.auth.contract_secrets import new_key
from tests.auth.places import command, new_schema
from tests.servers import server

FIRST_RELEASE = (Path(__file__).parent / "first_release.sql").read_text()


@pytest.fixture(params=["sqlite", "postgres"])
def bare_url(request: pytest.FixtureRequest, file_url: str) -> Iterator[str]:
    """The URL of a store without a schema."""
    if request.param == "sqlite":
        yield file_url
    else:
        with new_schema(server("postgres").url) as url:
            yield url


@pytest.fixture
def old_file(tmp_path: Path) -> sqlite3.Connection:
    """The file of `file_url`, as the first release made it."""
    old = sqlite3.connect(tmp_path / "auth.sqlite")
    old.executescript(FIRST_RELEASE)
    return old


async def changed(url: str, work: Any) -> Any:
    """Works on a database whose schema is looked at by nobody."""
    async with open_database(url, connections=1) as database:
        return await database._write(database._backend.writer, work, 10)


def upgrade_to(revision: str) -> Any:
    def upgrade(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        alembic.upgrade(config, revision)

    return upgrade


async def test_the_steps_lead_to_the_tables_of_the_code(bare_url: str) -> None:
    async with open_database(bare_url, connections=1) as database:
        assert await database.migrate() == (Schema(0, 0), Schema(VERSION, 1))
        assert await database.migrate() == (Schema(VERSION, 1),) * 2

        def differences(connection: Connection) -> list[Any]:
            return list(compare_metadata(MigrationContext.configure(connection), metadata))

        assert await database.transaction(differences) == []
        versions = await database.rows(select(schema_versions).order_by(schema_versions.c.version))
        assert [row.version for row in versions] == list(range(1, VERSION + 1))


async def test_the_first_step_makes_what_the_first_release_made(file_url: str, old_file: sqlite3.Connection) -> None:
    tables = "SELECT name, sql FROM sqlite_master WHERE sql NOT NULL"
    old = {name: sql.split() for name, sql in old_file.execute(tables)}
    old_file.close()
    await changed(f"{file_url}.new", upgrade_to("0001"))
    rows = await changed(f"{file_url}.new", lambda connection: connection.execute(text(tables)).all())
    new = {row.name: row.sql.split() for row in rows}
    assert {name: sql for name, sql in new.items() if name not in ("alembic_version", "schema_versions")} == old


async def test_a_file_of_the_first_release_is_taken_over(file_url: str, old_file: sqlite3.Connection) -> None:
    account = new_account()
    with old_file:
        values = (account.owner.account_id, "default", account.email, account.display_name, json.dumps(account.roles))
        old_file.execute("INSERT INTO accounts VALUES (?, ?, ?, ?, ?)", values)
        old_file.execute("INSERT INTO credentials VALUES (?, ?)", (account.owner.account_id, "hash"))
    old_file.close()
    async with open_database(file_url, connections=1) as database:
        with pytest.raises(DomainError, match="version 1; this release needs 2"):
            await database.check()
        assert await database.migrate() == (Schema(1, 1), Schema(VERSION, 1))
        assert await sql_store(database).accounts.credential(account.email) == Credential(account, "hash")
        # The first release looks at this, and goes on.
        assert (await database.row(text("PRAGMA user_version")))[0] == 1  # type: ignore[index]


async def test_of_many_that_migrate_at_once_each_finds_it_done(bare_url: str) -> None:
    databases = [open_database(bare_url, connections=1) for _ in range(4)]
    results = await asyncio.gather(*(database.migrate() for database in databases))
    assert sorted(before.version for before, _ in results) == [0, VERSION, VERSION, VERSION]
    assert {after for _, after in results} == {Schema(VERSION, 1)}
    for database in databases:
        await registered(sql_store(database))
        await database.__aexit__(None, None, None)


async def test_two_processes_may_migrate_at_once(bare_url: str) -> None:
    ended = await asyncio.gather(*(command("migrate", bare_url) for _ in range(2)))
    assert [each.status for each in ended] == [0, 0]
    done, found = f"auth: schema 0 -> {VERSION}\n", f"auth: schema {VERSION} is up to date\n"
    assert sorted(each.words for each in ended) == sorted([done, found])


async def test_a_step_that_fails_leaves_nothing(bare_url: str) -> None:
    await changed(bare_url, lambda connection: connection.execute(text("CREATE TABLE reservations (x INTEGER)")))
    async with open_database(bare_url, connections=1) as database:
        with pytest.raises(DomainError, match="not available"):
            await database.migrate()
    assert await changed(bare_url, lambda connection: inspect(connection).get_table_names()) == ["reservations"]


async def test_without_a_schema_nothing_is_written_until_it_is_there(bare_url: str) -> None:
    async with open_database(bare_url, connections=1) as database, open_database(bare_url, connections=1) as other:
        store = sql_store(database)
        with pytest.raises(
            DomainError, match=r"version 0; this release needs 2: run `python -m services.auth.migrate`"
        ):
            await store.probe.check()
        with pytest.raises(DomainError) as refused:
            await store.accounts.create(new_account(), "hash")
        assert refused.value.reason is Reason.UNAVAILABLE
        await other.migrate()
        await store.probe.check()
        await registered(store)


async def test_a_later_schema_is_refused_with_its_number_unless_it_only_added(bare_url: str) -> None:
    async with open_database(bare_url, connections=1) as database:
        await database.migrate()
        added = insert(schema_versions)
        await database.write(added.values(version=98, works_from=VERSION))
        assert await database.migrate() == (Schema(98, VERSION),) * 2
        await database.write(added.values(version=99, works_from=VERSION + 1))
    async with open_database(bare_url, connections=1) as database:
        for call in (database.check, database.migrate):
            with pytest.raises(RefusedError, match=r"auth has version 99, .* version 3; this one knows 2"):
                await call()


async def test_the_command_refuses_a_later_schema_in_one_sentence(file_url: str) -> None:
    async with open_database(file_url, connections=1) as database:
        await database.migrate()
        await database.write(insert(schema_versions).values(version=99, works_from=99))
    ended = await command("migrate", file_url)
    assert (ended.status, ended.words.count("\n"), "version 99" in ended.words) == (2, 1, True)


class FirstRelease:
    """What the first release says to its tables, which it finds in a later schema."""

    def __init__(self, database: Database, tables: MetaData) -> None:
        self.database, self.tables = database, tables.tables

    async def sign_up(self) -> str:
        account = new_account()
        row: dict[str, object] = {"account_id": account.owner.account_id, "tenant_id": "default"}
        row |= {"email": account.email, "display_name": "Ann", "roles": ["user"]}

        def work(connection: Connection) -> None:
            connection.execute(insert(self.tables["accounts"]).values(row))
            secret = {"account_id": account.owner.account_id, "password_hash": "hash"}
            connection.execute(insert(self.tables["credentials"]).values(secret))

        await self.database.transaction(work)
        return account.email

    async def password_hash(self, email: str) -> str | None:
        accounts, credentials = self.tables["accounts"], self.tables["credentials"]
        found = (
            select(accounts, credentials.c.password_hash)
            .join(credentials, credentials.c.account_id == accounts.c.account_id)
            .where(accounts.c.email == email)
        )
        row = await self.database.row(found)
        return row.password_hash if row else None

    async def settle(self, reservation_id: str, tokens: int) -> None:
        reservations, periods = self.tables["reservations"], self.tables["periods"]
        change = (
            update(reservations)
            .where(reservations.c.reservation_id == reservation_id, reservations.c.state != "settled")
            .values(state="settled", prompt_tokens=tokens, completion_tokens=0, close_time=NOW)
            .returning(reservations.c.tenant_id, reservations.c.account_id, reservations.c.period)
        )

        def work(connection: Connection) -> None:
            row = connection.execute(change).one()._asdict()
            counted = self.database.insert(periods).values(**row, used_tokens=tokens)
            added = {"used_tokens": periods.c.used_tokens + counted.excluded.used_tokens}
            connection.execute(counted.on_conflict_do_update(index_elements=list(periods.primary_key), set_=added))

        await self.database.transaction(work)


async def test_the_release_before_works_beside_this_one(bare_url: str) -> None:
    await changed(bare_url, upgrade_to("0001"))
    tables = MetaData()
    await changed(bare_url, tables.reflect)
    async with open_database(bare_url, connections=2) as database:
        await database.migrate()
        old, store = FirstRelease(database, tables), sql_store(database)
        theirs = await store.accounts.credential(await old.sign_up())
        assert theirs
        assert await old.password_hash(theirs.account.email) == "hash"
        ours = await registered(store)
        await store.api_keys.create(new_key(ours), 1)
        wanted = [reservation(ours), reservation(theirs.account.owner)]
        for each in wanted:
            assert await reserve(store, each) is Reserving.RESERVED
        await old.settle(wanted[0].reservation_id, 7)
        assert await settle(store, theirs.account.owner, wanted[1].reservation_id, 3, 4)
        assert [await balance(store, owner, PERIOD) for owner in (ours, theirs.account.owner)] == [(7, 0)] * 2
        await store.accounts.close(theirs.account.owner, NOW)
        assert await old.password_hash(theirs.account.email) == "hash"
