from collections.abc import AsyncIterator

import httpx
import pytest

from parley.inference.v1 import inference_service_pb2
from tests.edge.mesh import Mesh
from tests.edge.reply import Reply, new_reply
from tests.edge.running import Edge, running
from tests.edge.state import Person


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    async with Mesh() as mesh:
        mesh.state.models = [
            inference_service_pb2.Model(model_id="small", display_name="Small", context_length=2048, ready=True),
            inference_service_pb2.Model(model_id="short", display_name="Short", context_length=64),
        ]
        yield mesh


@pytest.fixture
async def edge(mesh: Mesh) -> AsyncIterator[Edge]:
    async with running(mesh) as edge:
        yield edge


@pytest.fixture
def ada(mesh: Mesh) -> Person:
    return mesh.state.add_person("Ada")


@pytest.fixture
async def client(edge: Edge, ada: Person) -> AsyncIterator[httpx.AsyncClient]:
    """Ada's."""
    async with edge.client(ada) as client:
        yield client


@pytest.fixture
async def reply(edge: Edge, ada: Person) -> Reply:
    """A reply of Ada's that has no text yet."""
    return await new_reply(edge, ada)
