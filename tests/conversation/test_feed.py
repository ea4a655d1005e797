"""What watchers of an account are told, on a real journal."""

import asyncio
from collections.abc import Callable

from services.conversation.config import Config
from services.conversation.feed import MAX_CHANGES, Change, Feed, Feeds
from services.conversation.journal import Journal
from tests.conversation.steps import a_turn
from tests.conversation.watching import Rows, running
from tests.valkey import Valkey


class Reader:
    """Somebody who watches an account."""

    def __init__(self, feeds: Feeds, account_id: str) -> None:
        self._news = asyncio.Event()
        self._following = feeds.follow("default", account_id, self._news.set)
        self.feed: Feed = self._following.__enter__()
        assert self.feed.take() == (True, [])
        self.missed, self.changes = False, list[Change]()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await self._news.wait()
                self._news.clear()
                missed, changes = self.feed.take()
                self.missed = self.missed or missed
                self.changes += changes

    async def hears(self, *changes: Change) -> None:
        await self.until(lambda: len(self.changes) >= len(changes))
        assert self.changes == list(changes)

    async def is_ready(self) -> None:
        """Its process listens from now on: it says that what was before may have been missed."""
        await self.until(lambda: self.missed)
        self.missed = False

    def leave(self) -> None:
        self._following.__exit__(None, None, None)


async def test_every_process_tells_the_watchers_of_that_account_alone(journal: Journal, config: Config) -> None:
    here, there = Feeds(), Feeds()
    turn, others = a_turn("ann"), a_turn("bob")
    async with running(journal, config, Rows(), here), running(journal, config, Rows(), there):
        readers = [Reader(here, "ann"), Reader(there, "ann"), Reader(here, "bob")]
        for reader in readers:
            await reader.is_ready()
        await journal.announce(turn.change("question", turn.reply_id, itself=True))
        await journal.announce(others.change(others.reply_id))
        for reader in readers[:2]:
            await reader.hears(turn.change("question", turn.reply_id, itself=True))
        await readers[2].hears(others.change(others.reply_id))
        for reader in readers:
            reader.leave()
    assert not here._feeds
    assert not there._feeds


async def test_who_could_not_be_told_is_told_that_he_missed_something(
    journal: Journal, config: Config, server: Valkey
) -> None:
    feeds, turn = Feeds(), a_turn()
    async with running(journal, config, Rows(), feeds):
        reader = Reader(feeds, turn.account_id)
        await reader.is_ready()
        await server.kill()
        await journal.announce(turn.change(turn.reply_id))
        await server.start()
        await reader.until(lambda: reader.missed)
        reader.leave()


def test_changes_of_one_conversation_are_told_as_one() -> None:
    feed, turn = Feed(lambda: None), a_turn()
    feed.take()
    for change in (turn.change("question", "reply"), turn.change(itself=True), turn.change("reply")):
        feed.tell(change)
    assert feed.take() == (False, [turn.change("question", "reply", itself=True)])
    assert feed.take() == (False, [])


def test_a_reader_who_takes_nothing_costs_no_memory() -> None:
    feed = Feed(lambda: None)
    feed.take()
    for _ in range(MAX_CHANGES + 1):
        feed.tell(a_turn().change(itself=True))
    assert feed.take() == (True, [])
