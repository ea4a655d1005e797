"""Configuration: read once, every error at once, secrets never shown."""

import subprocess
import sys

import pytest
from pydantic import SecretStr

from services.chassis.config import Names, SecretUrl, ServiceSettings, Settings, describe, load


class Example(Settings):
    address: str
    password: SecretStr
    size: int = 3
    names: Names = ()


def test_fields_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ADDRESS": "a:1", "PASSWORD": "hush", "SIZE": "9", "NAMES": "a, b,,c "}.items():
        monkeypatch.setenv(f"PARLEY_{name}", value)
    config = load(Example)
    assert (config.address, config.size, config.names) == ("a:1", 9, ("a", "b", "c"))
    assert describe(config)["password"] == "**********"
    assert "hush" not in repr(config)


def test_everything_wrong_is_named_at_once_and_the_process_exits_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_SIZE", "many")
    monkeypatch.setenv("PARLEY_PASSWORD", "hush")
    monkeypatch.delenv("PARLEY_ADDRESS", raising=False)
    with pytest.raises(SystemExit) as left:
        load(Example)
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "PARLEY_ADDRESS" in said
    assert "PARLEY_SIZE" in said
    assert "hush" not in said


@pytest.mark.parametrize("url", ["postgresql://ann:hu[sh@db/parley", "mongodb://ann:hu\u2100sh@db/parley"])
def test_a_url_that_is_none_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    class Stored(Settings):
        store_url: SecretUrl

    monkeypatch.setenv("PARLEY_STORE_URL", url)
    with pytest.raises(SystemExit):
        load(Stored)
    said = capsys.readouterr().err
    assert "PARLEY_STORE_URL" in said
    assert "hu" not in said


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ServiceSettings().listen = "elsewhere"  # type: ignore[misc]


@pytest.mark.parametrize("service", ["auth", "conversation", "edge", "history", "inference", "metadata"])
def test_a_service_without_configuration_says_what_is_missing(service: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env={"PATH": "", "PYTHONPATH": "gen:.", "PARLEY_LOG_LEVEL": "LOUD"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    missing = {line.split(":")[0] for line in ended.stderr.splitlines()}
    assert {"PARLEY_AUTH_ADDRESS", "PARLEY_SERVICE_SECRET", "PARLEY_LOG_LEVEL"} <= missing | {
        # auth is the one that the others ask, and it proves itself to nobody
        name
        for name in ("PARLEY_AUTH_ADDRESS", "PARLEY_SERVICE_SECRET")
        if service == "auth"
    }
