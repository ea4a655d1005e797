"""A store that is away, locked or too new when its service starts."""

import pytest

from tests.faults.faulty import Faulty, Places, all_faulty, of_each
from tests.faults.locked import PASSWORD
from tests.faults.outgrown import VERSION
from tests.faults.places import Place
from tests.faults.process import NOT_SERVING, refusal
from tests.faults.standins import StandIns
from tests.faults.subjects import Subject

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_service_that_starts_before_its_store_works_when_that_has_come(
    places: Places, around: StandIns
) -> None:
    async def check(service: Faulty) -> None:
        assert await service.running.health.now() == NOT_SERVING
        await service.is_given_up()
        await service.does_what_needs_no_store()
        await service.between.open()
        await service.is_green()

    async with all_faulty(places, around, away=True) as services:
        await of_each(services, check)


async def test_a_wrong_password_is_said_at_once_and_not_shown(places: Places, around: StandIns) -> None:
    async def check(subject_at: tuple[Subject, Place]) -> None:
        subject, place = subject_at
        async with subject.locked(place) as url:
            status, words = await refusal(subject.service, subject.environment(place, url, around))
        assert status == 2, words
        assert "password" in words.splitlines()[-1]
        assert PASSWORD not in words

    await of_each(places, check)


async def test_a_release_does_not_touch_what_a_later_one_has_rearranged(places: Places, around: StandIns) -> None:
    async def check(subject_at: tuple[Subject, Place]) -> None:
        subject, place = subject_at
        if subject.outgrown is None:
            return
        async with subject.outgrown(place):
            status, words = await refusal(subject.service, subject.environment(place, place.url, around))
        assert status == 2, words
        assert f"version {VERSION}" in words.splitlines()[-1]

    await of_each(places, check)
