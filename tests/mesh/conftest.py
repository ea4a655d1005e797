from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.mesh.person import Person
from tests.mesh.running import Running, mesh

FAKE = {"PARLEY_ENGINE": "fake", "PARLEY_FAKE_TOKENS_PER_SECOND": "100"}
"""An engine without a model, at a pace at which there is a middle of an answer."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("mesh") / "data"
    async with mesh(folder, "--replicas", "conversation=2,inference=2,edge=2", environment=FAKE) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def ann(running: Running) -> AsyncIterator[Person]:
    person = Person(running.url, running.api_key)
    yield person
    await person.close()
