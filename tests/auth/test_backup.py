"""Backups: everything, from any store into any other, and nothing by halves."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from services.auth.peers import AUTH
from services.auth.records import Owner
from services.auth.sql.archive import records, restore
from services.auth.sql.database import Database
from services.auth.sql.store import sql_store
from services.auth.sql.tables import metadata
from services.auth.stores import open_database
from services.chassis.archive import read_archive, write_archive
from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.chassis.process import RefusedError
from tests.auth.contract_accounts import NOW, SECOND, new_account, registered
from tests.auth.contract_deletion import used_account
from tests.auth.contract_ledger import reservation, reserve, settle
from tests.auth.contract_secrets import new_key, signing_key
from tests.auth.places import command, empty


@asynccontextmanager
async def migrated(url: str) -> AsyncIterator[Database]:
    async with open_database(url, connections=2) as database:
        await database.migrate()
        yield database


async def fill(database: Database) -> list[Owner]:
    """Something in every table, and every kind of value."""
    store = sql_store(database)
    accounts = [await used_account(store, new_id()) for _ in range(3)]
    owner = accounts[0].owner
    wanted = reservation(owner)
    await reserve(store, wanted)
    await settle(store, owner, wanted.reservation_id, 2**31 - 1, 2)
    await store.accounts.close(accounts[1].owner, NOW)
    await store.api_keys.create(replace(new_key(owner, "ключ 👋🏽\n"), expire_time=None), 9)
    await store.signing_keys.add(signing_key(1))
    return [account.owner for account in accounts]


def wipe(connection: Connection) -> None:
    for name, table in metadata.tables.items():
        if name != "schema_versions":
            connection.execute(table.delete())


async def backup(database: Database) -> bytes:
    file = io.BytesIO()
    async with database.snapshot() as snapshot:
        await write_archive(AUTH, records(snapshot), file)
    return file.getvalue()


def rows(archive: bytes) -> list[dict[str, Any]]:
    found = list(read_archive(AUTH, io.BytesIO(archive)))
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True))


async def test_what_was_wiped_is_there_again_and_restoring_twice_changes_nothing(store_url: str) -> None:
    async with migrated(store_url) as database:
        owners = await fill(database)
        archive = await backup(database)
        found = rows(archive)
        assert {row["table"] for row in found} == set(metadata.tables) - {"schema_versions"}
        await database.transaction(wipe)
        for written in (len(found), 0):
            assert await restore(database, read_archive(AUTH, io.BytesIO(archive))) == (len(found), written)
            assert rows(await backup(database)) == found
        assert await sql_store(database).accounts.get(owners[0])


async def test_one_can_move_from_a_file_to_a_server_and_back(file_url: str, postgres_url: str, tmp_path: Path) -> None:
    async with migrated(file_url) as file, migrated(postgres_url) as server:
        await fill(file)
        archive = await backup(file)
        await restore(server, read_archive(AUTH, io.BytesIO(archive)))
        moved = await backup(server)
        assert rows(moved) == rows(archive)
        async with migrated(f"sqlite:///{tmp_path}/back.sqlite") as back:
            await restore(back, read_archive(AUTH, io.BytesIO(moved)))
            assert rows(await backup(back)) == rows(archive)


async def test_what_is_there_stays(store_url: str) -> None:
    async with migrated(store_url) as database:
        store = sql_store(database)
        account = new_account()
        await store.accounts.create(account, "1")
        archive = await backup(database)
        await store.accounts.replace_password_hash(account.owner, "1", "2")
        await store.accounts.close(account.owner, NOW)
        await restore(database, read_archive(AUTH, io.BytesIO(archive)))
        credential = await store.accounts.credential(account.email)
        assert credential
        assert (credential.account.close_time, credential.password_hash) == (NOW, "2")


async def test_a_backup_shows_one_moment(store_url: str) -> None:
    async with migrated(store_url) as database:
        store = sql_store(database)
        before = await registered(store)
        async with database.snapshot() as snapshot:
            following = records(snapshot)
            first = await anext(following)
            await asyncio.gather(*(registered(store) for _ in range(5)))
            await store.attempts.attempt(new_id(), NOW, NOW + SECOND)
            seen = [first, *[record async for record in following]]
        assert [(row["table"], row.get("account_id")) for row in seen] == [
            ("accounts", before.account_id),
            ("credentials", before.account_id),
        ]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: lines[:-1], "ends in the middle"),
        (lambda lines: [*lines[:2], *lines[3:]], "as many records as it says"),
        (lambda lines: [lines[0].replace(b"auth", b"history"), *lines[1:]], "no backup of auth"),
        (lambda lines: [line.replace(b'"table":"accounts"', b'"table":"x"') for line in lines], "a table"),
        (lambda lines: [line.replace(b'"email"', b'"e_mail"') for line in lines], "columns of accounts"),
        (lambda lines: [line.replace(b'"expire_time":"2', b'"expire_time":"x') for line in lines], "row of api_keys"),
        (lambda lines: [line.replace(b'"roles":["admin","user"]', b'"roles":1') for line in lines], "row of accounts"),
        (
            lambda lines: [re.sub(b'"email":"[^"]*', b'"email":5,"tenant_id":"', line) for line in lines],
            "row of accounts",
        ),
        (lambda lines: [line.replace(b'"tokens":10', b'"tokens":null') for line in lines], "row of reservations"),
    ],
)
async def test_a_damaged_backup_is_refused(file_url: str, tmp_path: Path, damage: Any, words: str) -> None:
    async with migrated(file_url) as database, migrated(f"sqlite:///{tmp_path}/other.sqlite") as other:
        await fill(database)
        lines = damage((await backup(database)).splitlines(keepends=True))
        with pytest.raises(RefusedError, match=words):
            await restore(other, read_archive(AUTH, io.BytesIO(b"".join(lines))))


async def test_nothing_is_read_or_written_before_the_schema_was_looked_at(store_url: str) -> None:
    async with open_database(store_url, connections=1) as database:
        with pytest.raises(DomainError):
            await backup(database)
        with pytest.raises(DomainError):
            await restore(database, [{"table": "periods"}])


async def test_the_commands(file_url: str, postgres_url: str) -> None:
    async with migrated(file_url) as database:
        await fill(database)
    saved = await command("backup", file_url)
    count = len(rows(saved.output))
    assert (saved.status, saved.words) == (0, f"auth: {count} records\n")
    restored = await command("restore", postgres_url, saved.output)
    assert (restored.status, restored.words) == (0, f"auth: {count} records, {count} were not there\n")
    empty(postgres_url)
    cut = await command("restore", postgres_url, saved.output[:-20])
    assert (cut.status, cut.words) == (2, "The backup is damaged: it ends in the middle.\n")
    away = await command("backup", "postgresql://a:b@127.0.0.1:1/c")
    assert (away.status, away.words) == (2, "auth: The store is not available.\n")
