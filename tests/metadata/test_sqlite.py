import asyncio
import sys
from pathlib import Path

import pytest

from services.chassis.sqlite import Database
from services.metadata.sqlite import MIGRATIONS, SqliteStore
from services.metadata.store import Filter
from tests.metadata.contract import START, conversation, new_owner, position


async def test_what_was_written_is_there_after_opening_again(file_url: str) -> None:
    row = conversation(new_owner())
    async with Database(file_url, MIGRATIONS) as database:
        await SqliteStore(database).create(row)
    async with Database(file_url, MIGRATIONS) as database:
        assert await SqliteStore(database).get(row.owner, row.conversation_id) == row


@pytest.mark.parametrize("narrow", [Filter(), Filter(archived=True), Filter(name_contains="x")])
@pytest.mark.parametrize("first", [True, False])
async def test_the_list_is_read_in_the_order_of_an_index(file_url: str, narrow: Filter, first: bool) -> None:
    statements: list[str] = []
    async with Database(file_url, MIGRATIONS) as database:
        await database._reader.set_trace_callback(statements.append)
        after = None if first else position(conversation(new_owner()))
        await SqliteStore(database).list(new_owner(), narrow, after=after, limit=10)
        plan = [row["detail"] for row in await database.read(f"EXPLAIN QUERY PLAN {statements[0]}")]
    assert [step for step in plan if "USING INDEX listed" in step]
    assert not [step for step in plan if "TEMP B-TREE" in step]


REPLACER = """
import asyncio, sys
from dataclasses import replace
from services.chassis.sqlite import Database
from services.metadata.sqlite import MIGRATIONS, SqliteStore
from services.metadata.store import Owner

async def main():
    owner, id_, times = Owner(sys.argv[2], sys.argv[3]), sys.argv[4], int(sys.argv[5])
    async with Database(sys.argv[1], MIGRATIONS) as database:
        store = SqliteStore(database)
        while times:
            row = await store.get(owner, id_)
            count = int(row.display_name) + 1
            times -= await store.replace(replace(row, display_name=str(count), etag=str(count)), row.etag)

asyncio.run(main())
"""


async def test_processes_that_share_a_file_lose_no_update(file_url: str) -> None:
    row = conversation(new_owner(), name="0")
    async with Database(file_url, MIGRATIONS) as database:
        await SqliteStore(database).create(row)
        arguments = (file_url, row.owner.tenant_id, row.owner.account_id, row.conversation_id, "20")
        processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", REPLACER, *arguments) for _ in range(3)]
        assert [await process.wait() for process in processes] == [0, 0, 0]
        stored = await SqliteStore(database).get(row.owner, row.conversation_id)
    assert stored is not None
    assert stored.display_name == "60"


async def test_times_keep_their_milliseconds(file_url: str, tmp_path: Path) -> None:
    owner = new_owner()
    async with Database(file_url, MIGRATIONS) as database:
        store = SqliteStore(database)
        for after in (1, 2, 999, 1_001, 86_399_999):
            row = conversation(owner, after=after)
            await store.create(row)
            assert await store.get(owner, row.conversation_id) == row
            assert row.create_time == START
    assert (tmp_path / "metadata.sqlite").stat().st_mode & 0o077 == 0
