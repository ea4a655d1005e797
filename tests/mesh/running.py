"""A mesh as a person runs it: `python -m services` in a folder of its own, every service a process, real sockets."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

READY_SECONDS = 240.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    url: str
    api_key: str
    folder: Path
    launcher: int

    def processes(self, name: str) -> list[int]:
        """The process ids of a service's replicas."""
        state = json.loads((self.folder / "state.json").read_text())
        return [entry["pid"] for entry in state["processes"] if entry["name"] == name]

    def addresses(self, name: str) -> list[str]:
        state = json.loads((self.folder / "state.json").read_text())
        return [entry["address"] for entry in state["processes"] if entry["name"] == name]

    def secret(self, caller: str) -> str:
        return str(json.loads((self.folder / "secrets.json").read_text())[caller])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def mesh(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Running]:
    """Starts a mesh on a data folder; leaving the block stops it as Ctrl-C does."""
    port = free_port()
    settings = {"PARLEY_DATA": str(folder), "PARLEY_PORT": str(port), **(environment or {})}
    with (folder.parent / f"{folder.name}.out").open("ab") as output:
        launcher = await asyncio.create_subprocess_exec(
            *("env", *(f"{name}={value}" for name, value in settings.items())),
            *(sys.executable, "-m", "services", *arguments),
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await _started(url, folder / "api-key", launcher)
        yield Running(url, (folder / "api-key").read_text().strip(), folder, launcher.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            launcher.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await launcher.wait()
        except TimeoutError:
            launcher.kill()
            await launcher.wait()
            raise


async def until_ready(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(READY_SECONDS):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


async def _started(url: str, key: Path, launcher: asyncio.subprocess.Process) -> None:
    """Returns when the mesh is ready and has made its account; raises if it ends instead."""
    ended = asyncio.create_task(launcher.wait())
    ready = asyncio.create_task(until_ready(url))
    try:
        await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
        assert launcher.returncode is None, "the mesh ended at its start"
        await ready
        async with asyncio.timeout(READY_SECONDS):
            while not key.exists():
                assert launcher.returncode is None, "the mesh ended at its start"
                await asyncio.sleep(0.05)
    finally:
        ended.cancel()
        ready.cancel()
