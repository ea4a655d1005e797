"""What runs, written down for other commands: `state.json` in the data folder."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from services.launcher.folder import write_private
from services.launcher.probe import Endpoint, Kind
from services.launcher.program import Program
from services.launcher.refusal import RefusalError

_FILE = "state.json"


@dataclass(frozen=True, slots=True)
class Running:
    name: str
    label: str
    pid: int
    address: str
    endpoint: Endpoint


class State:
    """The processes of the mesh that runs on a data folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._running: dict[str, Running] = {}

    def started(self, program: Program, pid: int) -> bool:
        """Returns whether it could be written down; a disk may be full."""
        self._running[program.label] = Running(program.name, program.label, pid, program.address, program.endpoint)
        entries = [asdict(running) for running in self._running.values()]
        try:
            write_private(self._path, json.dumps({"launcher": os.getpid(), "processes": entries}, indent=2) + "\n")
        except OSError:
            return False
        return True

    @contextmanager
    def kept(self) -> Iterator[None]:
        """The file goes with the mesh; it stays only if the launcher is killed."""
        try:
            yield
        finally:
            self._path.unlink(missing_ok=True)


def read_state(folder: Path) -> list[Running]:
    """What a mesh wrote. Raises RefusalError if none runs on this folder."""
    try:
        entries = json.loads((folder / _FILE).read_text())["processes"]
    except FileNotFoundError:
        raise RefusalError(f"No mesh runs on the data folder {folder}.") from None
    return [
        Running(**entry | {"endpoint": Endpoint(Kind(entry["endpoint"]["kind"]), entry["endpoint"]["address"])})
        for entry in entries
    ]
