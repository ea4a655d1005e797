"""Stores on servers: who is told what, and what is refused before anything runs."""

import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.launcher.config import LauncherSettings
from services.launcher.plan import make_plan
from services.launcher.program import Program
from services.launcher.refusal import RefusalError
from services.launcher.screen import PlainScreen
from services.launcher.secret import load_secrets
from services.launcher.stores import WITHHELD, Stores
from tests.launcher.test_plan import plan

URLS = {
    "auth": "postgresql://ann:pass1@db/parley",
    "history": "cassandra://ann:pass2@a,b/parley?datacenter=dc1",
    "metadata": "mongodb://ann:pass3@m/parley",
}


def settings_with(data: Path, **urls: str) -> LauncherSettings:
    return LauncherSettings(data=data, **{name: SecretStr(url) for name, url in urls.items()})  # type: ignore[arg-type]


def plan_on_servers(data: Path, **replicas: int) -> dict[str, Program]:
    settings = settings_with(
        data, **{f"{name}_store_url": url for name, url in URLS.items()}, redis_url="rediss://:pass4@r:10000/0"
    )
    every = dict.fromkeys(("inference", "auth", "history", "metadata", "conversation", "edge"), 1) | replicas
    programs = make_plan(settings, load_secrets(data, make=True), every)
    return {program.label: program for program in programs}


def test_each_service_is_told_its_own_store_alone(tmp_path: Path) -> None:
    programs = plan_on_servers(tmp_path)
    assert "valkey" not in programs
    secrets = {**URLS, "conversation": "rediss://:pass4@r:10000/0"}
    for label, program in programs.items():
        assert [name for name, url in secrets.items() if url in program.environment.values()] == [label] * (
            label in secrets
        )
    assert {"PARLEY_AUTH_STORE_URL", "PARLEY_REDIS_URL"} < WITHHELD


def test_services_on_servers_run_several_times(tmp_path: Path) -> None:
    programs = plan_on_servers(tmp_path, auth=2, history=3)
    assert programs["history[3]"].environment["PARLEY_STORE_URL"] == URLS["history"]
    assert programs["edge"].environment["PARLEY_AUTH_ADDRESS"].startswith("ipv4:")


def test_a_service_with_a_file_runs_once(tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match="PARLEY_HISTORY_STORE_URL"):
        plan(tmp_path, "history=2")


async def test_a_store_that_cannot_be_used_is_said_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = Stores.of(settings_with(tmp_path, metadata_store_url="nonsense://ann:pass5@m/parley"))
    with pytest.raises(RefusalError, match="metadata") as refused:
        await stores.migrate(PlainScreen(sys.stdout))
    assert "nonsense" in str(refused.value)
    assert "pass5" not in str(refused.value) + capsys.readouterr().out
