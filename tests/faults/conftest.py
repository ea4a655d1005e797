import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.faults.faulty import Faulty, Places, all_faulty
from tests.faults.places import Place
from tests.faults.standins import StandIns, standing_in
from tests.faults.subjects import Subject, known_subjects


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def places() -> AsyncIterator[Places]:
    async def migrated(subject: Subject) -> tuple[Subject, Place]:
        place = await opened.enter_async_context(subject.place())
        await subject.migrate(place.url)
        return subject, place

    async with AsyncExitStack() as opened:
        yield await asyncio.gather(*map(migrated, known_subjects()))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StandIns]:
    async with standing_in(tmp_path_factory.mktemp("around")) as around:
        yield around


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def services(places: Places, around: StandIns) -> AsyncIterator[list[Faulty]]:
    """They run for all tests of a file: each leaves them as they were."""
    async with all_faulty(places, around) as services:
        yield services
