"""The edge as a process."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from services.chassis.config import child_environment
from services.edge.listener import bind
from tests.edge.mesh import Mesh
from tests.edge.state import SECRET, Person


class Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until(self, message: str) -> dict[str, Any]:
        """The log line with a message; the lines before it are passed over."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            entry: dict[str, Any] = json.loads(line)
            if entry["message"] == message:
                return entry
        raise EOFError(message)

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def wait(self) -> int:
        assert self._process.stderr is not None
        await self._process.stderr.read()
        return await self._process.wait()


@asynccontextmanager
async def started(mesh: Mesh, **settings: object) -> AsyncIterator[Process]:
    addresses = {f"PARLEY_{name.upper()}": str(value) for name, value in {**mesh.addresses(), **settings}.items()}
    environment = child_environment({"PARLEY_SERVICE_SECRET": SECRET, "PARLEY_PORT": "0", **addresses})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.edge", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_sigterm_lets_everybody_go_in_peace(mesh: Mesh, ada: Person) -> None:
    async with started(mesh, drain_seconds=1) as process:
        listening = await process.until("listening")
        assert listening["config"]["service_secret"] == "**********"
        url = f"127.0.0.1:{listening['port']}"
        async with (
            httpx.AsyncClient(base_url=f"http://{url}") as client,
            connect(f"ws://{url}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")]) as socket,
        ):
            assert (await client.get("/readyz")).status_code == 200
            payload = {"authorization": f"Bearer {ada.api_key}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            process.send_signal(signal.SIGTERM)
            await process.until("draining")
            assert (await client.get("/readyz")).status_code == 503
            await socket.send(json.dumps({"type": "ping"}))
            assert json.loads(await socket.recv()) == {"type": "pong"}
            await socket.wait_closed()
            # To clients: the service restarts, connect again.
            assert socket.close_code == 1012
        assert await process.wait() == 0


async def test_several_share_a_port(mesh: Mesh) -> None:
    with bind("127.0.0.1", 0, reuse_port=True) as held:
        port = held.getsockname()[1]
        async with (
            started(mesh, reuse_port=True, port=port) as one,
            started(mesh, reuse_port=True, port=port) as other,
        ):
            for process in (one, other):
                assert (await process.until("listening"))["port"] == port


async def test_wrong_settings_are_all_named_at_once() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.edge",
        env=child_environment({"PARLEY_PORT": "high"}),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    named = {line.partition(":")[0] for line in errors.decode().splitlines()}
    assert named == {
        "PARLEY_PORT",
        "PARLEY_SERVICE_SECRET",
        "PARLEY_AUTH_ADDRESS",
        "PARLEY_CONVERSATION_ADDRESS",
        "PARLEY_HISTORY_ADDRESS",
        "PARLEY_METADATA_ADDRESS",
        "PARLEY_INFERENCE_ADDRESS",
    }
