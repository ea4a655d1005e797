"""scripts/backup and scripts/restore: what a mesh that runs remembers, in files of its own."""

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from services.chassis.config import child_environment
from tests.mesh.person import Person
from tests.mesh.remains import STORES
from tests.mesh.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def script(name: str, folder: Path, **environment: str) -> tuple[int, str]:
    """Its exit status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(f"scripts/{name}", str(folder)),
        env=child_environment({"PARLEY_VENV": sys.prefix, **environment}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


def contents(folder: Path) -> dict[str, list[bytes]]:
    """Sorted: each kind of store has an order of its own."""
    return {name: sorted((folder / f"{name}.jsonl").read_bytes().splitlines()) for name in STORES}


async def test_what_was_backed_up_is_restored_once_and_into_its_own_mesh(
    running: Running, ann: Person, tmp_path: Path
) -> None:
    conversation_id = await ann.new_conversation()
    sent = await ann.send(conversation_id, "words=5 Grüße")
    await ann.read(conversation_id, sent["reply"]["id"])
    urls = {
        f"PARLEY_{name.upper()}_STORE_URL": psutil.Process(running.processes(name)[0]).environ()["PARLEY_STORE_URL"]
        for name in STORES
    }
    saved, again, data = tmp_path / "saved", tmp_path / "again", tmp_path / "data"
    status, said = await script("backup", saved, PARLEY_DATA=str(running.folder), **urls)
    assert status == 0, said
    assert conversation_id in (saved / "history.jsonl").read_text()
    assert [path.stat().st_mode & 0o077 for path in saved.iterdir()] == [0] * 4
    for _ in range(2):
        status, said = await script("restore", saved, PARLEY_DATA=str(data))
        assert status == 0, said
        status, said = await script("backup", again, PARLEY_DATA=str(data))
        assert status == 0, said
        assert contents(again) == contents(saved)
        assert (again / "secrets.json").read_bytes() == (saved / "secrets.json").read_bytes()
    (data / "secrets.json").write_text("{}")
    status, said = await script("restore", saved, PARLEY_DATA=str(data))
    assert (status, "another mesh" in said) == (2, True)
