"""What dies and comes back: the mesh's data, and each process in the middle of an answer."""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from websockets.exceptions import WebSocketException

from tests.mesh.conftest import FAKE
from tests.mesh.person import Person
from tests.mesh.running import Running, mesh, until_ready
from tests.mesh.stores import stores
from tests.servers import server

REPLICAS = "conversation=2,inference=2,edge=2"


async def test_a_restart_keeps_every_conversation(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "data"
    async with mesh(folder, environment=environment) as running:
        ann = Person(running.url, running.api_key)
        conversation_id = await ann.new_conversation(displayName="kept")
        reply = (await ann.send(conversation_id, "words=30 remember"))["reply"]
        read = await ann.read(conversation_id, reply["id"])
        unfinished = (await ann.send(conversation_id, "words=300 and then"))["reply"]
        partly = await ann.read_some(conversation_id, unfinished["id"], 50)
        await ann.close()
    async with mesh(folder, environment=environment) as running:
        ann = Person(running.url, running.api_key)
        [kept] = (await ann.query("{ conversations { nodes { id displayName } } }"))["conversations"]["nodes"]
        assert kept == {"id": conversation_id, "displayName": "kept"}
        assert (await ann.messages(conversation_id, reply["id"]))[-1]["text"] == read.text
        whole = await ann.read(conversation_id, unfinished["id"])
        assert whole.ended is not None
        assert whole.ended["status"] == "COMPLETED"
        assert whole.text.startswith(partly.text)
        assert (await ann.read(conversation_id, unfinished["id"], partly)).text == whole.text
        await ann.close()


@pytest.mark.parametrize("service", ["conversation", "inference", "edge", "history", "metadata", "auth"])
async def test_an_answer_survives_the_death_of(service: str, tmp_path: Path, environment: dict[str, str]) -> None:
    async with mesh(tmp_path / "data", "--replicas", REPLICAS, environment=environment) as running:
        await _answer_through(running, lambda: _kill_all(running, service))


async def test_an_answer_survives_the_death_of_valkey(tmp_path: Path) -> None:
    async with mesh(tmp_path / "data", "--replicas", REPLICAS, environment=FAKE) as running:
        await _answer_through(running, lambda: _kill_all(running, "valkey"))


@pytest.mark.parametrize("name", ["redis", "cassandra", "mongodb", "postgres"])
async def test_an_answer_survives_the_death_of_the_server(name: str, tmp_path: Path) -> None:
    killed = server(name)

    async def kill_and_start() -> None:
        await killed.kill()
        await killed.start()

    async with (
        stores("real") as environment,
        mesh(tmp_path / "data", "--replicas", REPLICAS, environment=FAKE | environment) as running,
    ):
        await _answer_through(running, kill_and_start)


async def _kill_all(running: Running, service: str) -> None:
    pids = running.processes(service)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


async def _answer_through(running: Running, fault: Callable[[], Awaitable[None]]) -> None:
    """A reply in whose middle something dies equals the unbroken reply to the same request."""
    ann = Person(running.url, running.api_key)
    conversation_id = await ann.new_conversation()
    first = (await ann.send(conversation_id, "words=80 go on", parameters={"seed": 7}))["reply"]
    unbroken = await ann.read(conversation_id, first["id"])
    other = await ann.new_conversation()
    reply = (await ann.send(other, "words=80 go on", parameters={"seed": 7}))["reply"]
    read = await ann.read_some(other, reply["id"], 60)
    await fault()
    while read.ended is None:
        try:
            await ann.read(other, reply["id"], read)
        except (OSError, WebSocketException):  # the edge died; it is started again
            await until_ready(running.url)
    assert read.text == read.ended["text"] == unbroken.text
    await ann.close()
