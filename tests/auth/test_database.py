"""The database under auth: cancelled, shared, locked and killed."""

import asyncio
import random
import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from services.auth.sql.database import Database
from services.auth.sql.store import sql_store
from services.auth.sql.tables import periods
from services.auth.stores import open_database, open_store
from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError
from tests.auth.contract_accounts import new_account, registered


@asynccontextmanager
async def opened(url: str, connections: int = 1) -> AsyncIterator[Database]:
    async with open_database(url, connections) as database:
        await database.migrate()
        yield database


async def test_a_cancelled_transaction_leaves_nothing_behind_and_harms_no_other(store_url: str) -> None:
    async with opened(store_url, connections=2) as database:

        async def write(n: int) -> None:
            def work(connection: Connection) -> None:
                row = {"tenant_id": "t", "account_id": "a", "period": str(n), "used_tokens": n}
                connection.execute(insert(periods).values(row))
                connection.execute(update(periods).where(periods.c.period == str(n)).values(used_tokens=n + 1))

            await database.transaction(work)

        writes = [asyncio.create_task(write(n)) for n in range(80)]
        reads = [asyncio.create_task(database.rows(select(periods))) for _ in range(40)]
        tasks: list[asyncio.Task[Any]] = [*writes, *reads]
        for victim in random.sample(tasks, 40):
            await asyncio.wait(random.sample(writes, 3), return_when=asyncio.FIRST_COMPLETED)
            victim.cancel()
        results = await asyncio.gather(*writes, return_exceptions=True)
        await asyncio.gather(*reads, return_exceptions=True)
        acknowledged = {str(n) for n, result in enumerate(results) if result is None}
        rows = await database.rows(select(periods))
    assert {row.period for row in rows} >= acknowledged
    assert all(row.used_tokens == int(row.period) + 1 for row in rows)


async def test_a_failed_transaction_leaves_nothing_behind(store_url: str) -> None:
    async with opened(store_url) as database:

        def fail(connection: Connection) -> None:
            connection.execute(insert(periods).values(tenant_id="t", account_id="a", period="1", used_tokens=1))
            raise ZeroDivisionError

        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await database.transaction(fail)
        assert await database.rows(select(periods)) == []


async def test_what_has_begun_is_finished_before_it_is_closed(store_url: str) -> None:
    begun = threading.Event()

    def work(connection: Connection) -> None:
        begun.set()
        connection.execute(insert(periods).values(tenant_id="t", account_id="a", period="1", used_tokens=1))

    async with opened(store_url) as database:
        task = asyncio.create_task(database.transaction(work))
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
    async with opened(store_url) as database:
        assert len(await database.rows(select(periods))) == 1
    assert task.cancelled()


async def test_a_file_is_created_once_by_those_who_open_it_at_once(file_url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        opening = (stack.enter_async_context(open_store(file_url, connections=1)) for _ in range(4))
        stores = await asyncio.gather(*opening)
        accounts = [new_account() for _ in range(20)]
        await asyncio.gather(*(stores[n % 4].accounts.create(each, "hash") for n, each in enumerate(accounts)))
        for each in accounts:
            assert await stores[0].accounts.get(each.owner) == each
    assert (tmp_path / "auth.sqlite").stat().st_mode & 0o077 == 0


async def test_a_locked_file_is_unavailable_and_then_works_again(
    file_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.auth.sql.sqlite.BUSY_MILLISECONDS", 1)
    async with open_store(file_url, connections=1) as store:
        account = new_account()
        other = sqlite3.connect(tmp_path / "auth.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DomainError) as refused:
            await store.accounts.create(account, "hash")
        assert refused.value.reason is Reason.UNAVAILABLE
        assert await store.accounts.get(account.owner) is None  # readers do not wait for a writer
        await store.probe.check()
        other.execute("ROLLBACK")
        other.close()
        assert await store.accounts.create(account, "hash")


async def test_who_waits_too_long_for_a_turn_is_told_and_takes_none(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(store_url) as database:
        store, begun, done = sql_store(database), threading.Event(), threading.Event()
        await registered(store)

        def work(connection: Connection) -> None:
            connection.execute(insert(periods).values(tenant_id="t", account_id="a", period="1", used_tokens=1))
            begun.set()
            done.wait(10)

        slow = asyncio.create_task(database.transaction(work))
        await asyncio.to_thread(begun.wait, 5)
        monkeypatch.setattr("services.auth.sql.database.WAIT_SECONDS", 0.1)
        for _ in range(3):
            with pytest.raises(DomainError) as refused:
                await store.accounts.create(new_account(), "hash")
            assert refused.value.reason is Reason.UNAVAILABLE
        done.set()
        await slow
        monkeypatch.undo()
        await registered(store)


async def test_another_kind_of_url_is_refused() -> None:
    for url, words in (
        ("mysql://localhost/auth", "mysql:// is no store of auth"),
        ("sqlite://x", "sqlite:///"),
        ("", "nothing"),
    ):
        with pytest.raises(RefusedError, match=f"^PARLEY_STORE_URL: .*{words}"):
            open_database(url, connections=1)


WRITER = """
import asyncio, sys
from services.auth.stores import open_store
from tests.auth.contract_accounts import new_account

async def main():
    async with open_store(sys.argv[1], connections=1) as store:
        await store.probe.check()
        while True:
            account = new_account()
            assert await store.accounts.create(account, "hash")
            print(account.email, flush=True)

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_sigkill(store_url: str) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, store_url, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    acknowledged = [(await writer.stdout.readline()).decode().strip() for _ in range(30)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [line.decode().strip() async for line in writer.stdout if line.endswith(b"\n")]
    await writer.wait()
    async with open_store(store_url, connections=1) as store:
        await store.probe.check()
        for email in acknowledged:
            assert await store.accounts.credential(email)
