"""PostgreSQL as a server that is shared, and that refuses."""

import asyncio
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text, update

from services.auth.records import Reserving
from services.auth.sql import postgres as driver
from services.auth.sql.tables import periods
from services.auth.stores import open_database
from services.chassis.errors import Reason
from services.chassis.process import RefusedError
from tests.auth.contract_accounts import registered
from tests.auth.contract_ledger import balance, reservation, reserve
from tests.auth.places import execute, opened
from tests.auth.served import refusal
from tests.servers import Server


async def test_a_row_that_another_keeps_is_waited_for_a_while(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(driver._SESSION, "lock_timeout", "200")
    async with opened(postgres_url) as (_, store), opened(postgres_url) as (other, _):
        owner, free = await registered(store), await registered(store)
        await reserve(store, reservation(owner))
        kept, done = threading.Event(), threading.Event()

        def keep(connection: Connection) -> None:
            connection.execute(update(periods).where(periods.c.account_id == owner.account_id).values(used_tokens=1))
            kept.set()
            done.wait(10)

        keeping = asyncio.create_task(other.transaction(keep))
        await asyncio.to_thread(kept.wait, 10)
        assert (await refusal(reserve(store, reservation(owner)))).reason is Reason.UNAVAILABLE
        assert await reserve(store, reservation(free)) is Reserving.RESERVED
        done.set()
        await keeping
        assert await reserve(store, reservation(owner)) is Reserving.RESERVED


async def test_a_transaction_that_ends_a_deadlock_is_begun_again(postgres_url: str) -> None:
    async with opened(postgres_url) as (one, store), opened(postgres_url) as (other, _):
        owners = [await registered(store) for _ in range(2)]
        for owner in owners:
            await reserve(store, reservation(owner))
        first = [threading.Event(), threading.Event()]

        def add(mine: int) -> Callable[[Connection], None]:
            def work(connection: Connection) -> None:
                for number in (mine, 1 - mine):
                    row = periods.c.account_id == owners[number].account_id
                    connection.execute(update(periods).where(row).values(used_tokens=periods.c.used_tokens + 1))
                    first[mine].set()
                    first[1 - mine].wait(10)

            return work

        await asyncio.gather(one.transaction(add(0)), other.transaction(add(1)))
        assert [(await balance(store, owner))[0] for owner in owners] == [2, 2]


async def test_wrong_credentials_are_refused_in_plain_words(postgres: Server) -> None:
    for user in ("postgres:wr0ng", "nobody:wr0ng", "postgres"):
        async with open_database(postgres.url.replace("postgres:lab", user), connections=1) as database:
            for call in (database.check, database.migrate):
                with pytest.raises(RefusedError) as refused:
                    await call()
                assert str(refused.value) == "PARLEY_STORE_URL: the database knows no such user with this password"


async def test_a_password_may_change_while_it_runs(postgres: Server, postgres_url: str) -> None:
    role = "auth_of_this_test"
    schema = postgres_url.rpartition("%3D")[2]
    execute(
        postgres.url,
        f"DROP ROLE IF EXISTS {role}",
        f"CREATE ROLE {role} LOGIN PASSWORD 'old'",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    )
    try:
        async with opened(postgres_url.replace("postgres:lab", f"{role}:old")) as (_, store):
            await registered(store)  # that is all it may do, and enough
            terminate = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
            execute(postgres.url, f"ALTER ROLE {role} PASSWORD 'new'", terminate)
            assert (await refusal(store.probe.check())).reason is Reason.UNAVAILABLE
            execute(postgres.url, f"ALTER ROLE {role} PASSWORD 'old'")
            await store.probe.check()
            await registered(store)
    finally:
        execute(postgres.url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_a_url_says_how_to_connect(postgres: Server, postgres_url: str) -> None:
    async with opened(postgres_url.replace("postgresql://", "postgres://")):
        pass
    async with open_database(f"{postgres_url}&sslmode=require", connections=1) as database:
        assert (await refusal(database.check())).reason is Reason.UNAVAILABLE  # it speaks no TLS
    async with opened(f"{postgres_url}&application_name=theirs") as (database, _):
        settings = "application_name", "statement_timeout", "lock_timeout", "default_transaction_isolation"
        found = await database.row(text("SELECT " + ", ".join(f"current_setting('{name}')" for name in settings)))
        assert found == ("theirs", "4s", "3s", "read committed")
    with pytest.raises(RefusedError, match=r"^PARLEY_STORE_URL: cannot be read as a PostgreSQL URL$"):
        open_database(postgres.url + "?nothing=1", connections=1)


RESERVING = """
import asyncio, sys
from services.auth.records import Owner
from services.auth.sql.store import sql_store
from services.auth.stores import open_database
from tests.auth.contract_ledger import reservation, reserve

async def main():
    async with open_database(sys.argv[1], connections=8) as database:
        await database.check()
        print("ready", flush=True)
        sys.stdin.readline()
        owner, store = Owner("default", sys.argv[2]), sql_store(database)
        outcomes = await asyncio.gather(*(reserve(store, reservation(owner, 60), 100) for _ in range(25)))
        print(*outcomes, flush=True)

asyncio.run(main())
"""


async def test_of_fifty_at_once_in_two_processes_one_is_admitted(postgres_url: str) -> None:
    async with opened(postgres_url) as (_, store):
        owner = await registered(store)
        arguments = (sys.executable, "-c", RESERVING, postgres_url, owner.account_id)
        processes = [await asyncio.create_subprocess_exec(*arguments, stdin=PIPE, stdout=PIPE) for _ in range(2)]
        for process in processes:
            assert process.stdout
            assert await process.stdout.readline() == b"ready\n"
        answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
        outcomes = b" ".join(out for out, _ in answers).decode().split()
        assert sorted(outcomes) == ["exceeded"] * 49 + ["reserved"]
        assert await balance(store, owner) == (0, 60)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("ann:s3cret@127.0.0.1:1/db?sslmode=perhaps", "no such value"),
        ("ann:s3cret@127.0.0.1:1/db?connect_timeout=soon", "no such value"),
        ("ann:s3cret@127.0.0.1:99999/db", "no such value"),
        ("ann:s3cret@127.0.0.1:port/db", "no such value"),
    ],
)
async def test_what_no_server_could_be_reached_by_is_refused(wrong: str, words: str) -> None:
    async with open_database(f"postgresql://{wrong}", connections=1) as database:
        with pytest.raises(RefusedError, match=words) as refused:
            await database.check()
    assert "s3cret" not in str(refused.value)
