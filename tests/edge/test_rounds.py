"""When subscribers look for news."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.edge.rounds import Look, Rounds

NEVER = 1000.0


@pytest.fixture
async def rounds() -> AsyncIterator[Rounds]:
    async for each in going(Rounds(0.001, NEVER)):
        yield each


async def going(rounds: Rounds) -> AsyncIterator[Rounds]:
    running = asyncio.create_task(rounds.run())
    yield rounds
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def looked(look: Look) -> bool:
    async with asyncio.timeout(10):
        return await look.next()


async def test_whoever_has_news_looks_and_nobody_else(rounds: Rounds) -> None:
    with rounds.joined() as mine, rounds.joined() as other:
        waiting = asyncio.create_task(other.next())
        for _ in range(3):
            rounds.wake(mine)
            assert await looked(mine) is False
        assert not waiting.done()
        waiting.cancel()


async def test_news_that_come_while_nobody_looks_are_looked_at_later(rounds: Rounds) -> None:
    with rounds.joined() as look:
        rounds.wake(look)
        rounds.wake(look)
        with rounds.joined() as other:
            rounds.wake(other)
            await looked(other)
        assert await looked(look) is False


async def test_silence_is_broken_again_and_again() -> None:
    async for rounds in going(Rounds(0.001, heartbeat_seconds=0.05)):
        with rounds.joined() as look, rounds.joined() as other:
            for _ in range(3):
                assert await looked(look) is True
                assert await looked(other) is True


async def test_who_left_is_forgotten(rounds: Rounds) -> None:
    with rounds.joined() as look:
        rounds.wake(look)
    assert not rounds._waiting
    assert not rounds._told
