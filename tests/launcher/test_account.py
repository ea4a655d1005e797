"""The first account, made through the real auth in a process of its own, as the launcher starts it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from services.launcher.account import Files, ensure_account, inner_token, read_key
from services.launcher.arguments import parse_replicas
from services.launcher.config import LauncherSettings
from services.launcher.plan import make_plan
from services.launcher.refusal import RefusalError
from services.launcher.screen import PlainScreen
from services.launcher.secret import load_secrets
from tests.launcher.small_mesh import process_of

EMAIL = "admin@localhost"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def secrets(tmp_path: Path) -> Mapping[str, str]:
    return load_secrets(tmp_path, make=True)


@pytest.fixture
async def auth(tmp_path: Path, secrets: Mapping[str, str]) -> AsyncIterator[str]:
    """Its address."""
    plan = make_plan(LauncherSettings(data=tmp_path), secrets, parse_replicas(""))
    program = next(program for program in plan if program.name == "auth")
    process = process_of(tmp_path, program, PlainScreen())
    keeping = asyncio.create_task(process.keep())
    await process.ready.wait()
    yield program.address
    await process.stop(seconds=30)
    await keeping


async def test_however_the_start_was_cut_off_there_is_a_key_that_works(
    files: Files, auth: str, secrets: Mapping[str, str]
) -> None:
    await ensure_account(files, EMAIL, auth, secrets)
    first = read_key(files)
    assert {path.stat().st_mode & 0o777 for path in (files.api_key, files.password)} == {0o600}

    await ensure_account(files, EMAIL, auth, secrets)
    assert read_key(files) == first, "a key that works is kept"

    files.api_key.unlink()
    await ensure_account(files, EMAIL, auth, secrets)
    assert read_key(files) not in ("", first), "a lost key is replaced"

    files.api_key.write_text("pk_of_another_database")
    await ensure_account(files, EMAIL, auth, secrets)
    assert await inner_token(files, "history", auth, secrets)


async def test_an_account_of_somebody_else_is_left_alone(files: Files, auth: str, secrets: Mapping[str, str]) -> None:
    await ensure_account(files, EMAIL, auth, secrets)
    files.api_key.unlink()
    files.password.unlink()
    with pytest.raises(RefusalError, match="has another password"):
        await ensure_account(files, EMAIL, auth, secrets)
    assert not files.password.exists()
    await ensure_account(files, "second@localhost", auth, secrets)
    assert read_key(files)


async def test_without_auth_there_is_no_account(files: Files, secrets: Mapping[str, str]) -> None:
    with pytest.raises(RefusalError, match="could not be made"):
        await ensure_account(files, EMAIL, "127.0.0.1:1", secrets)
