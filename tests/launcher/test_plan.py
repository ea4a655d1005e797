from pathlib import Path

import pytest

from services.launcher.arguments import parse_replicas
from services.launcher.config import LauncherSettings
from services.launcher.plan import make_plan, public_address
from services.launcher.program import Program
from services.launcher.secret import load_secrets


def plan(data: Path, replicas: str = "") -> dict[str, Program]:
    settings = LauncherSettings(data=data)
    programs = make_plan(settings, load_secrets(data, make=True), parse_replicas(replicas))
    return {program.label: program for program in programs}


def test_each_service_knows_its_peers_and_its_own_secret_alone(tmp_path: Path) -> None:
    programs = plan(tmp_path)
    assert programs.keys() == {"valkey", "auth", "history", "metadata", "inference", "conversation", "edge"}
    secrets = load_secrets(tmp_path, make=False)
    for name in ("history", "metadata", "inference", "conversation", "edge"):
        environment = programs[name].environment
        assert environment["PARLEY_AUTH_ADDRESS"] == programs["auth"].address
        assert [other for other, value in secrets.items() if value in environment.values()] == [name]
        assert "PARLEY_SERVICE_SECRETS" not in environment
    assert secrets["operator"] in programs["auth"].environment["PARLEY_SERVICE_SECRETS"]


def test_replicas_are_told_to_their_callers(tmp_path: Path) -> None:
    programs = plan(tmp_path, "conversation=2,inference=2,edge=2")
    first, second = (programs[f"inference[{number}]"].address for number in (1, 2))
    for label in ("conversation[1]", "conversation[2]", "edge[1]"):
        assert programs[label].environment["PARLEY_INFERENCE_ADDRESS"] == f"ipv4:{first},{second}"
    assert programs["conversation[1]"].environment["PARLEY_INFERENCE_ADDRESSES"] == f"{first},{second}"
    assert programs["edge[1]"].address == programs["edge[2]"].address == "127.0.0.1:8080"
    assert programs["edge[1]"].endpoint != programs["edge[2]"].endpoint
    assert programs["edge[2]"].environment["PARLEY_REUSE_PORT"] == "true"


def test_a_deep_folder_has_its_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("a folder with a long name " * 5)
    deep.mkdir()
    programs = plan(deep)
    assert len(programs["valkey"].address) <= 100
    assert programs["conversation"].environment["PARLEY_REDIS_URL"] == f"unix://{programs['valkey'].address}?db=0"
    assert str(deep / "valkey") in programs["valkey"].command


def test_no_program_shows_its_secrets(tmp_path: Path) -> None:
    programs = plan(tmp_path)
    words = "".join(map(str, programs.values()))
    assert not [name for name, value in load_secrets(tmp_path, make=False).items() if value in words]


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1:8080"), ("::", "[::1]:8080"), ("localhost", "localhost:8080"), ("::1", "[::1]:8080")],
)
def test_the_address_is_one_that_can_be_opened(host: str, address: str) -> None:
    assert public_address(LauncherSettings(host=host)) == address
