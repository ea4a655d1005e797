"""A store that fails while its service runs. Its users are told so in time, and it works again without a restart."""

import asyncio

import pytest

from tests.faults.faulty import GREEN_SECONDS, Faulty, of_each
from tests.faults.process import QUICK_SECONDS, SERVING

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALLS = 10
"""Callers at once."""


async def test_users_are_told_to_try_again_while_the_store_is_down(services: list[Faulty]) -> None:
    async def check(service: Faulty) -> None:
        await service.is_green()
        await service.between.close()
        await asyncio.gather(service.is_red(), service.is_given_up())
        await service.does_what_needs_no_store()
        await service.between.open()
        await service.is_green()

    await of_each(services, check)


@pytest.mark.parametrize("held", [("requests", "answers"), ("answers",)], ids=["hangs", "answers nobody"])
async def test_nobody_waits_for_a_store_that(services: list[Faulty], held: tuple[str, ...]) -> None:
    async def check(service: Faulty) -> None:
        await service.is_green()
        service.between.hold(requests="requests" in held, answers="answers" in held)
        await asyncio.gather(service.is_red(), service.is_given_up(), service.keeps_a_deadline())
        await service.does_what_needs_no_store()
        service.between.let_go()
        await service.is_green()

    await of_each(services, check)


async def test_nobody_waits_for_a_store_that_is_stopped(services: list[Faulty]) -> None:
    async def check(service: Faulty) -> None:
        await service.is_green()
        with service.place.server.stopped():
            await asyncio.gather(service.is_red(), service.is_given_up(), service.keeps_a_deadline())
            await service.does_what_needs_no_store()
        await service.is_green()

    await of_each(services, check)


async def test_a_distant_store_is_slower_and_nothing_else(services: list[Faulty]) -> None:
    async def check(service: Faulty) -> None:
        await service.is_green()
        service.between.delay = 0.05
        await asyncio.gather(*(service.write(seconds=2) for _ in range(3)))
        assert await service.running.health.now() == SERVING
        service.between.delay = 0

    await of_each(services, check)


async def test_a_store_that_takes_two_seconds_makes_nobody_wait_longer_than_he_wants(services: list[Faulty]) -> None:
    async def check(service: Faulty) -> None:
        await service.is_green()
        service.between.delay = 2
        callers = [service.keeps_a_deadline() for _ in range(CALLS)]
        await asyncio.gather(service.is_red(), *callers)
        await service.does_what_needs_no_store()
        service.between.delay = 0
        await service.is_green()
        # Nothing piled up.
        async with asyncio.timeout(GREEN_SECONDS):
            while await service.write() > QUICK_SECONDS:
                pass

    await of_each(services, check)
