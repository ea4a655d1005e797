"""Backups: from any store, to any store."""

import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from services.chassis.config import child_environment
from services.chassis.process import RefusedError
from services.metadata.backup import back_up
from services.metadata.restore import restore
from services.metadata.store import Conversation, Settings, Store, Theme
from tests.metadata.contract import conversation, new_owner, settings
from tests.metadata.opened import as_user, opened

Rows = list[Conversation | Settings]


async def filled(store: Store) -> Rows:
    """What a store holds, after something of every kind was put into it."""
    owner = new_owner()
    odd = replace(
        conversation(owner, name="Grüße\n\u2028 👋🏽", pinned=True),
        labels={"a.b": "$x", "": ""},
        current_leaf_id=owner.account_id,
        archived=True,
    )
    rows = [odd, *(conversation(new_owner(), after=n) for n in range(40))]
    for row in rows:
        await store.create(row)
    for each in (settings(owner), replace(settings(new_owner()), theme=Theme.LIGHT, locale="")):
        await store.put_settings(each, None)
    return await held(store)


async def held(store: Store) -> Rows:
    return sorted([row async for row in store.dump()], key=str)


async def test_what_was_backed_up_is_restored_as_it_was(empty_store: Store, other_store: Store) -> None:
    rows, file = await filled(empty_store), BytesIO()
    assert await back_up(empty_store, file) == len(rows) == 43
    file.seek(0)
    assert await restore(other_store, file) == (43, 43)
    assert await held(other_store) == rows


async def test_a_restore_keeps_what_is_there(empty_store: Store) -> None:
    rows, file = await filled(empty_store), BytesIO()
    await back_up(empty_store, file)
    changed, gone, *_ = [row for row in rows if isinstance(row, Conversation)]
    kept = [row for row in rows if row not in (changed, gone)]
    changed, before = replace(changed, display_name="newer", etag="2"), changed
    assert await empty_store.replace(changed, before.etag)
    assert await empty_store.delete(gone.owner, gone.conversation_id)
    for new in (1, 0):
        file.seek(0)
        assert await restore(empty_store, file) == (43, new)
        assert await held(empty_store) == sorted([*kept, changed, gone], key=str)


async def test_a_damaged_file_is_refused(empty_store: Store) -> None:
    file = BytesIO()
    await filled(empty_store)
    await back_up(empty_store, file)
    whole = file.getvalue()
    lines = whole.splitlines(keepends=True)
    broken = [
        b"",
        whole[:-1],
        whole[: len(whole) // 2],
        b"".join(lines[:-1]),
        whole.replace(b'"metadata"', b'"history"'),
        whole.replace(b'"etag"', b'"tag"'),
        whole.replace(b'"dark"', b'"pale"'),
        whole.replace(b'"conversation"', b'"message"'),
    ]
    for damaged in broken:
        with pytest.raises(RefusedError, match="backup"):
            await restore(empty_store, BytesIO(damaged))


async def command(name: str, url: str, given: bytes = b"") -> tuple[int | None, bytes, str]:
    """The exit status of a command, what it wrote, and what it said."""
    environment = child_environment({"PARLEY_STORE_URL": url})
    process = await create_subprocess_exec(
        *(sys.executable, "-m", f"services.metadata.{name}"), env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    written, said = await process.communicate(given)
    return process.returncode, written, said.decode()


async def test_a_file_moves_to_the_cluster_by_commands(tmp_path: Path, empty_url: str) -> None:
    file_url = f"sqlite:///{tmp_path}/new/metadata.sqlite"
    assert await command("migrate", file_url) == (0, b"", "metadata: schema 0 -> 1\n")
    assert await command("migrate", file_url) == (0, b"", "metadata: schema 1 is up to date\n")
    async with opened(file_url) as store:
        rows = await filled(store)
    status, backup, said = await command("backup", file_url)
    assert (status, said) == (0, "metadata: 43 records\n")
    status, _, said = await command("restore", empty_url, backup)
    assert status == 2
    assert "run `python -m services.metadata.migrate`" in said
    assert await command("migrate", empty_url) == (0, b"", "metadata: schema 0 -> 1\n")
    assert await command("restore", empty_url, backup) == (0, b"", "metadata: 43 records, 43 were not there\n")
    async with opened(empty_url) as store:
        assert await held(store) == rows
    status, _, said = await command("migrate", as_user(empty_url, "nobody:wr0ng"))
    assert (status, said.count("\n"), "wr0ng" in said) == (2, 1, False)
