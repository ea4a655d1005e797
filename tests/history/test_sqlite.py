import asyncio
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.chassis.process import RefusedError
from services.chassis.sqlite import Database
from services.history.sqlite import MIGRATIONS, SqliteStore
from tests.history.messages import user_message


async def test_two_processes_share_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.sqlite"
    conversation_id = new_id()
    rows = [user_message(conversation_id, text=str(n)) for n in range(40)]
    async with Database(url, MIGRATIONS) as one, Database(url, MIGRATIONS) as two:
        stores = [SqliteStore(one), SqliteStore(two)]
        await asyncio.gather(*(stores[n % 2].put(row) for n, row in enumerate(rows)))
        assert await stores[0].scan(conversation_id, upto=None, limit=100) == rows[::-1]


WRITER = """
import asyncio, sys
from services.chassis.sqlite import Database
from services.history.sqlite import MIGRATIONS, SqliteStore
from tests.history.messages import user_message

async def main():
    async with Database(sys.argv[1], MIGRATIONS) as database:
        while True:
            message = user_message(sys.argv[2])
            await SqliteStore(database).put(message)
            print(message.message_id, flush=True)

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    url, conversation_id = f"sqlite:///{tmp_path}/history.sqlite", new_id()
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, conversation_id, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    acknowledged = [(await writer.stdout.readline()).decode().strip() for _ in range(50)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [line.decode().strip() async for line in writer.stdout if line.endswith(b"\n")]
    await writer.wait()
    async with Database(url, MIGRATIONS) as database:
        stored = await SqliteStore(database).scan(conversation_id, upto=None, limit=10_000)
    assert {row.message_id for row in stored} >= set(acknowledged)


async def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(RefusedError, match="99"):
        async with Database(f"sqlite:///{path}", MIGRATIONS):
            pass


async def test_a_locked_file_is_unavailable_and_then_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.sqlite.BUSY_MILLISECONDS", 1)
    path = tmp_path / "history.sqlite"
    async with Database(f"sqlite:///{path}", MIGRATIONS) as database:
        store = SqliteStore(database)
        message = user_message(new_id())
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DomainError) as refused:
            await store.put(message)
        assert refused.value.reason is Reason.UNAVAILABLE
        other.execute("ROLLBACK")
        other.close()
        await store.put(message)
        assert await store.get(message.conversation_id, message.message_id) == message
