"""Backups: what one store held, another holds, whichever they are."""

import asyncio
import io
import json
import secrets
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from subprocess import PIPE

import pytest

from services.chassis.config import child_environment
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.chassis.process import RefusedError
from services.chassis.sqlite import Database
from services.history.backup import back_up
from services.history.patience import TRIES
from services.history.restore import restore
from services.history.sqlite import MIGRATIONS, SqliteStore
from services.history.store import Message, Store
from services.history.stores import open_store
from services.history.tree import everything
from tests.history.conftest import drop, in_keyspace, migrated
from tests.history.messages import reply_to, result, user_message
from tests.servers import server

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def cassandra_url() -> Iterator[str]:
    """A keyspace of this file alone: a backup has everything that there is."""
    url = in_keyspace(server("cassandra").url, f"parley_test_{secrets.token_hex(4)}")
    asyncio.run(migrated(url))
    yield url
    drop(url)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        await store.check()
        yield store


async def filled(store: Store) -> dict[str, list[Message]]:
    """Some conversations, of which one goes on without a result, one has branches, and one a long text."""
    waiting = [user_message(new_id(), text="Grüße\n👋🏽")]
    waiting.append(reply_to(waiting[0]))
    branches = [user_message(new_id())]
    branches += [reply_to(branches[0]) for _ in range(70)]
    long = [user_message(new_id(), text="é" * MEGABYTE)]
    for row in (*waiting, *branches, *long):
        await store.put(row)
    for place, row in enumerate(branches[1:], 1):
        ended = result(f"{place}")
        await store.complete(row.conversation_id, row.message_id, ended)
        branches[place] = replace(row, result=ended)
    return {rows[0].conversation_id: rows for rows in (waiting, branches, long)}


async def these(rows: list[Message]) -> AsyncIterator[Message]:
    for row in rows:
        yield row


async def read(store: Store, conversation_id: str) -> list[Message]:
    return [row async for row in everything(store, conversation_id, None)][::-1]


async def wiped(store: Store, conversations: dict[str, list[Message]]) -> None:
    for conversation_id in conversations:
        await store.delete(conversation_id)
        assert await read(store, conversation_id) == []


async def test_back_up_wipe_restore_is_equal(store: Store) -> None:
    conversations = await filled(store)
    file = io.BytesIO()
    count = await back_up(store.dump(), file)
    assert count >= sum(map(len, conversations.values()))
    await wiped(store, conversations)
    for _ in range(2):
        file.seek(0)
        assert await restore(store, file) == count
        for conversation_id, rows in conversations.items():
            assert await read(store, conversation_id) == rows
            parents = {row.parent_id for row in rows}
            assert {id_ for ids in (await store.children(conversation_id, parents)).values() for id_ in ids} == {
                row.message_id for row in rows
            }


@pytest.mark.parametrize("way", ["to the cluster", "from the cluster"])
async def test_a_backup_of_one_store_is_restored_in_another(file_url: str, cassandra_url: str, way: str) -> None:
    urls = (file_url, cassandra_url) if way == "to the cluster" else (cassandra_url, file_url)
    async with opened(urls[0]) as one, opened(urls[1]) as other:
        conversations = await filled(one)
        file = io.BytesIO()
        await back_up(one.dump(), file)
        file.seek(0)
        await restore(other, file)
        for conversation_id, rows in conversations.items():
            assert await read(other, conversation_id) == rows


async def test_what_is_there_stays(store: Store) -> None:
    row = user_message(new_id())
    reply, ended = reply_to(row), reply_to(row)
    for each in (row, reply, ended):
        await store.put(each)
    await store.complete(ended.conversation_id, ended.message_id, result("there"))
    file = io.BytesIO()
    records = [replace(row, text="other"), replace(reply, result=result()), replace(ended, result=result("other"))]
    await back_up(these(records), file)
    file.seek(0)
    await restore(store, file)
    expected = [row, replace(reply, result=result()), replace(ended, result=result("there"))]
    assert await read(store, row.conversation_id) == expected


async def test_a_file_that_was_cut_or_is_none_of_ours_is_refused(store: Store) -> None:
    rows = [user_message(new_id()) for _ in range(3)]
    file = io.BytesIO()
    await back_up(these(rows), file)
    lines = file.getvalue().splitlines(keepends=True)
    foreign = json.dumps({"parley": "metadata", "version": 1}).encode() + b"\n"
    newer = json.dumps({"parley": "history", "version": 2}).encode() + b"\n"
    strange = b'{"role": "user"}\n'
    bad = [
        [],
        lines[:-1],
        [*lines[:2], lines[2][:-9]],
        [*lines[:2], *lines[3:]],
        [foreign, *lines[1:]],
        [newer, *lines[1:]],
        [lines[0], strange, *lines[2:]],
    ]
    for cut in bad:
        with pytest.raises(RefusedError):
            await restore(store, io.BytesIO(b"".join(cut)))
    assert await restore(store, io.BytesIO(file.getvalue())) == 3


class Nowhere(io.BytesIO):
    def write(self, data: object) -> int:  # noqa: ARG002
        return 0


async def test_memory_does_not_grow_with_what_is_backed_up(store: Store) -> None:
    conversation_id, rows = new_id(), 40
    for _ in range(rows):
        await store.put(user_message(conversation_id, text="x" * MEGABYTE))
    tracemalloc.start()
    await back_up(store.dump(), Nowhere())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    await store.delete(conversation_id)
    assert peak < rows * MEGABYTE * 0.8


async def test_a_store_that_goes_away_leaves_a_file_that_is_refused(store: Store) -> None:
    async def rows() -> AsyncIterator[Message]:
        yield user_message(new_id())
        raise DomainError(Reason.UNAVAILABLE, "away")

    file = io.BytesIO()
    with pytest.raises(DomainError):
        await back_up(rows(), file)
    file.seek(0)
    with pytest.raises(RefusedError):
        await restore(store, file)


async def test_a_store_that_is_away_for_a_moment_ends_nothing(file_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.history.patience.PAUSE_SECONDS", 0)
    failures = [DomainError(Reason.UNAVAILABLE, "away")] * (TRIES - 1)

    class Shaky(SqliteStore):
        async def put(self, message: Message) -> None:
            if failures:
                raise failures.pop()
            await super().put(message)

    row = user_message(new_id())
    file = io.BytesIO()
    await back_up(these([row]), file)
    file.seek(0)
    async with Database(file_url, MIGRATIONS) as database:
        assert await restore(Shaky(database), file) == 1
        assert await read(SqliteStore(database), row.conversation_id) == [row]


async def command(name: str, url: str, given: bytes = b"") -> tuple[int | None, bytes, str]:
    """Its exit status, what it wrote, and what it said."""
    environment = child_environment({"PARLEY_STORE_URL": url})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.history.{name}", env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    written, said = await process.communicate(given)
    return process.returncode, written, said.decode()


async def test_the_commands(store_url: str) -> None:
    async with opened(store_url) as store:
        conversations = await filled(store)
        status, file, said = await command("backup", store_url)
        count = len(file.splitlines()) - 2
        assert (status, said) == (0, f"history: {count} messages\n")
        await wiped(store, conversations)
        assert await command("restore", store_url, file) == (0, b"", f"history: {count} messages\n")
        for conversation_id, rows in conversations.items():
            assert await read(store, conversation_id) == rows


async def test_the_command_that_migrates(file_url: str, cassandra_url: str) -> None:
    said = await asyncio.gather(command("migrate", file_url), command("migrate", cassandra_url))
    assert list(said) == [(0, b"", "history: schema 0 -> 1\n"), (0, b"", "history: schema 1 is up to date\n")]


async def test_a_command_says_plainly_what_is_wrong(file_url: str) -> None:
    away = server("cassandra").url.replace(f":{server('cassandra').port}", ":1").replace("?", "/parley?")
    wrong = [
        ("backup", "cassandra://u:s3cret@h?datacenter=dc1", "keyspace"),
        ("backup", away, "history: The store does not answer."),
        ("restore", file_url, "This is no backup"),
    ]
    ended = await asyncio.gather(*(command(name, url, b"{}\n") for name, url, _ in wrong))
    for (status, written, said), (_, _, words) in zip(ended, wrong, strict=True):
        assert (status, written, said.count("\n")) == (2, b"", 1)
        assert words in said
        assert "s3cret" not in said
