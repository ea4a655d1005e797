from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.mesh.person import Person
from tests.mesh.running import Running, mesh
from tests.mesh.stores import KINDS, stores

FAKE = {"PARLEY_ENGINE": "fake", "PARLEY_FAKE_TOKENS_PER_SECOND": "100"}
"""An engine without a model, at a pace at which there is a middle of an answer."""


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=KINDS)
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("mesh") / "data"
    async with stores(request.param) as environment:
        replicas = "conversation=2,inference=2,edge=2" + ",auth=2,history=2,metadata=2" * bool(environment)
        async with mesh(folder, "--replicas", replicas, environment=FAKE | environment) as started:
            yield started


@pytest_asyncio.fixture(params=KINDS)
async def environment(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, str]]:
    """Of a mesh with an engine without a model and with empty stores."""
    async with stores(request.param) as environment:
        yield FAKE | environment


@pytest_asyncio.fixture(loop_scope="session")
async def ann(running: Running) -> AsyncIterator[Person]:
    person = Person(running.url, running.api_key)
    yield person
    await person.close()
