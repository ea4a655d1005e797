"""What dies behind the edge, and what its clients see of that."""

from collections.abc import AsyncIterator

import pytest

from parley.inference.v1 import inference_service_pb2
from tests.edge.mesh import Mesh
from tests.edge.reply import TEXT, WORDS, new_reply, rest, text_until
from tests.edge.running import Edge, running
from tests.edge.socket import open_socket
from tests.edge.state import Person


@pytest.fixture
async def two_replicas() -> AsyncIterator[Mesh]:
    async with Mesh(conversations=2) as mesh:
        mesh.state.models.append(inference_service_pb2.Model(model_id="small"))
        yield mesh


async def serving(mesh: Mesh) -> int:
    """Which replica carries the stream of watches, once it was told to start one."""
    while True:
        for number, fake in enumerate(mesh.fakes()):
            if fake.starts:
                return number
        mesh.state.commands.clear()
        await mesh.state.commands.wait()


@pytest.mark.parametrize("death", ["killed", "frozen"])
async def test_a_replica_dies_and_its_subscribers_see_a_pause(two_replicas: Mesh, death: str) -> None:
    mesh = two_replicas
    ada = mesh.state.add_person()
    async with running(mesh, silence_seconds=0.5) as edge, open_socket(edge, ada) as socket:
        reply = await new_reply(edge, ada)
        await reply.watch(socket)
        for word in WORDS[:10]:
            reply.journal.append(word)
        text, _ = await text_until(socket, 20)
        first = await serving(mesh)
        if death == "killed":
            await mesh.conversations[first].kill()
        else:
            mesh.fakes()[first].frozen.set()
        for word in WORDS[10:]:
            reply.journal.append(word)
        reply.journal.end()
        more, message = await rest(socket)
        assert text + more == message["text"] == TEXT
        assert mesh.fakes()[1 - first].starts[0].reply.start_cursor != ""
        assert edge.house.metrics.reopenings.collect()


async def test_a_mesh_that_is_away_for_a_while_ends_no_subscription(mesh: Mesh, edge: Edge, ada: Person) -> None:
    reply = await new_reply(edge, ada)
    [fake] = mesh.fakes()
    async with open_socket(edge, ada) as socket:
        await reply.watch(socket)
        reply.journal.append("Before. ")
        text, _ = await text_until(socket, 8)
        # Every stream that is opened now ends at once.
        fake.away.set()
        for _ in range(3):
            fake.refused.clear()
            await fake.refused.wait()
        reply.journal.append("After.")
        fake.away.clear()
        reply.journal.end()
        more, message = await rest(socket)
    assert text + more == message["text"] == "Before. After."
