import json
import socket
from pathlib import Path

import pytest

from services.launcher.folder import claim, write_private
from services.launcher.ports import free_ports, require_free
from services.launcher.refusal import RefusalError
from services.launcher.secret import CALLERS, load_secrets


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_folder_is_private_and_holds_one_mesh(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    with claim(folder):
        assert mode(folder) == 0o700
        with pytest.raises(RefusalError, match="Another mesh runs on the data folder"), claim(folder):
            pass
    with claim(folder):
        pass


def test_a_folder_with_other_things_is_not_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    tmp_path.chmod(0o755)
    with pytest.raises(RefusalError, match="holds other things"), claim(tmp_path):
        pass
    assert mode(tmp_path) == 0o755


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RefusalError, match="cannot be used"), claim(tmp_path / "file"):
        pass


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    made = load_secrets(tmp_path, make=True)
    assert {*CALLERS, "auth", "signing"} == made.keys()
    assert len(set(made.values())) == len(made)
    assert mode(tmp_path / "secrets.json") == 0o600
    assert load_secrets(tmp_path, make=True) == made


def test_a_new_name_gets_a_secret_and_the_others_keep_theirs(tmp_path: Path) -> None:
    write_private(tmp_path / "secrets.json", json.dumps({"edge": "kept"}))
    assert load_secrets(tmp_path, make=True)["edge"] == "kept"


def test_damaged_secrets_are_not_replaced(tmp_path: Path) -> None:
    write_private(tmp_path / "secrets.json", "{")
    with pytest.raises(RefusalError, match="damaged"):
        load_secrets(tmp_path, make=True)


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(RefusalError, match=f"Port {port} is taken. Name another: PARLEY_PORT={port + 1}"):
            require_free("127.0.0.1", port)


def test_free_ports_differ() -> None:
    assert len(set(free_ports(50))) == 50
