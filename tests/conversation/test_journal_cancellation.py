"""Calls that are cancelled at any moment: nobody is given another's bytes, and nothing is left over."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.chassis.errors import DomainError
from services.conversation.config import Config
from services.conversation.draft import Draft, Outcome
from services.conversation.journal import Journal, open_journal
from tests.conversation.cluster import free_ports
from tests.conversation.steps import a_config, a_turn, claimed
from tests.proxy import Proxy, proxy
from tests.valkey import valkey

OWNERS = 12
ROUNDS = 15
"""In each, every owner calls once."""
CONNECTIONS = 10


@pytest.fixture(params=["one server", "a cluster"])
async def slow(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Proxy, Config]]:
    """A server behind a slow proxy; as a cluster it tells everybody that it is where the proxy is."""
    port, bus_port = free_ports(2)
    clustered = request.param == "a cluster"
    options = ("--cluster-enabled", "yes", "--cluster-port", str(bus_port)) if clustered else ()
    async with valkey(tmp_path, "--port", str(port), *options) as server, proxy("127.0.0.1", port) as between:
        if clustered:
            await server.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
            await server.ask("CONFIG", "SET", "cluster-announce-ip", "127.0.0.1")
            await server.ask("CONFIG", "SET", "cluster-announce-port", between.port)
        url = f"redis://127.0.0.1:{between.port}"
        more = {"redis_cluster": clustered, "redis_connections": CONNECTIONS, "lease_seconds": 60, "renew_seconds": 1}
        yield between, a_config(url, **more)


async def test_whoever_is_cancelled_gets_nobody_elses_bytes(slow: tuple[Proxy, Config]) -> None:
    between, config = slow
    chance = random.Random(5)
    before = asyncio.all_tasks()
    async with open_journal(config) as journal:
        await _usable(journal)
        drafts = [await claimed(journal, a_turn(f"account-{number}")) for number in range(OWNERS)]
        between.delay = 0.002
        for _ in range(ROUNDS):
            calls = [asyncio.create_task(_call(journal, draft, chance)) for draft in drafts]
            cancelled = await asyncio.gather(*(_cancel(call, chance.expovariate(1 / 0.02)) for call in calls))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            for outcome, was_cancelled in zip(outcomes, cancelled, strict=True):
                assert isinstance(outcome, asyncio.CancelledError) if was_cancelled else outcome is None, repr(outcome)
        between.delay = 0
        for draft in drafts:
            [reading] = await journal.read([(draft.turn, 0)])
            assert reading.text == bytes(draft.text)[: len(reading.text)]
        await asyncio.gather(*(journal.running(draft.turn.conversation_id) for draft in 3 * drafts))
        async with asyncio.timeout(5):
            while between.connections > CONNECTIONS:  # the proxy hears of a broken one a little later
                await asyncio.sleep(0.01)
    await between.emptied()
    assert asyncio.all_tasks() == before


async def test_a_call_whose_connection_breaks_is_made_again(slow: tuple[Proxy, Config]) -> None:
    between, config = slow
    async with open_journal(config) as journal:
        await _usable(journal)
        draft = await claimed(journal, a_turn())
        draft.add([1], "once")
        between.hold(requests=False)
        writing = asyncio.create_task(journal.append(journal.shard(draft.turn.conversation_id), [draft]))
        await asyncio.sleep(0.05)
        assert not writing.done()
        between.cut()
        between.let_go()
        assert await writing == [Outcome.OK]
        [reading] = await journal.read([(draft.turn, 0)])
        assert reading.text == b"once"


async def _cancel(call: asyncio.Task[None], seconds: float) -> bool:
    """Cancels a call after a while; returns whether it was still running."""
    await asyncio.wait([call], timeout=seconds)
    return call.cancel()


async def _usable(journal: Journal) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await journal.check()
            except DomainError:  # the cluster has just been made
                await asyncio.sleep(0.05)


async def _call(journal: Journal, draft: Draft, chance: random.Random) -> None:
    """One of the journal's calls, whose answer says whose it is."""
    turn = draft.turn
    match chance.randrange(5):
        case 0:
            draft.add([1], f"{turn.account_id}/{turn.turn_id} ")
            outcomes = await journal.append(journal.shard(turn.conversation_id), [draft])
            assert outcomes == [Outcome.OK]
        case 1:
            assert await journal.running(turn.conversation_id) == [turn.reply_id]
        case 2:
            assert await journal.claim(turn) is None
        case 3:
            await journal.take(journal.shard(turn.conversation_id), 1)
        case _:
            [reading] = await journal.read([(turn, 0)])
            assert reading.text == bytes(draft.text)[: len(reading.text)]
