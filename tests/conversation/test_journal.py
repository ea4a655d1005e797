"""The journal on a server of its own, which the tests stop, kill and empty."""

import asyncio
from pathlib import Path

import pytest

from services.chassis.errors import DomainError, Reason
from services.conversation.config import Config
from services.conversation.journal import Journal
from services.conversation.writer import Writer
from tests.conversation.cluster import free_ports
from tests.conversation.contract import JournalContract
from tests.conversation.steps import a_config, a_turn, claimed, opened, text_of
from tests.proxy import proxy
from tests.valkey import Valkey, valkey


class TestOnValkey(JournalContract):
    pass


async def test_drafts_wait_while_the_server_is_away(journal: Journal, config: Config, server: Valkey) -> None:
    writer = Writer(journal, config)
    draft = await claimed(journal, a_turn())
    running = asyncio.create_task(writer.run())
    async with asyncio.timeout(20), writer.writing(draft):
        await server.kill()
        draft.add([1], "held")
        writer.changed(draft)
        flushing = asyncio.create_task(writer.flush(draft))
        await server.start()
        await flushing
        assert await text_of(journal, draft.turn) == b"held"
    running.cancel()


async def test_a_journal_that_was_emptied_goes_on(journal: Journal, config: Config, server: Valkey) -> None:
    writer = Writer(journal, config)
    drafts = [await claimed(journal, a_turn()) for _ in range(10)]
    running = asyncio.create_task(writer.run())
    async with asyncio.timeout(20):
        for draft in drafts:
            async with writer.writing(draft):
                draft.add([1], "before ")
                await writer.flush(draft)
                await server.ask("FLUSHALL")
                draft.add([2], "after")
                await writer.flush(draft)
                assert await text_of(journal, draft.turn) == b"before after"
                for shard in journal.shards:
                    await journal.take(shard, 1)  # the group of runners is made again
    running.cancel()


async def test_a_server_that_hangs_costs_everybody_a_few_seconds(journal: Journal, server: Valkey) -> None:
    turn = a_turn()
    loop = asyncio.get_running_loop()
    async with journal.listen() as news:
        with server.stopped():
            started = loop.time()
            calls = (journal.enqueue(turn), journal.claim(turn), journal.read([(turn, 0)]), journal.take(0, 1))
            outcomes = await asyncio.gather(*calls, anext(news), return_exceptions=True)
            assert loop.time() - started < 5.5
    assert [each.reason for each in outcomes if isinstance(each, DomainError)] == [Reason.UNAVAILABLE] * 5
    await journal.claim(turn)


async def test_a_full_server_refuses_and_goes_on_when_there_is_room(journal: Journal, server: Valkey) -> None:
    draft = await claimed(journal, a_turn())
    await server.ask("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(DomainError) as refused:
        await journal.enqueue(a_turn())
    assert refused.value.reason is Reason.UNAVAILABLE
    await journal.check()  # what is there can still be read
    assert await text_of(journal, draft.turn) == b""
    await server.ask("CONFIG", "SET", "maxmemory", "0")
    await journal.enqueue(a_turn())


async def test_an_address_that_leads_to_a_new_primary_is_followed(tmp_path: Path) -> None:
    ports = free_ports(2)
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        folder.mkdir()
    async with (
        valkey(folders[0], "--port", str(ports[0])) as old,
        valkey(folders[1], "--port", str(ports[1])),
        proxy("127.0.0.1", ports[0]) as between,
        opened(a_config(f"redis://127.0.0.1:{between.port}")) as journal,
    ):
        await journal.check()
        await old.ask("REPLICAOF", "127.0.0.1", ports[1])
        between._target = ("127.0.0.1", ports[1])
        await journal.enqueue(a_turn())
