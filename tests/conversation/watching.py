"""Watchers of replies, and a history that does as a test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from parley.history.v1 import history_service_pb2 as history_pb
from services.chassis.errors import DomainError
from services.conversation.config import Config
from services.conversation.draft import Turn
from services.conversation.feed import Feeds
from services.conversation.hub import Followed, Hub
from services.conversation.journal import Journal
from services.conversation.peers import History
from services.conversation.writer import Writer


class Rows:
    """History: the replies that were asked for, and how the next questions are answered."""

    def __init__(self) -> None:
        self.messages: dict[str, history_pb.Message] = {}
        self.failures: list[DomainError] = []
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        """Questions are answered while this is set."""
        self.open.set()

    def ask(self, turn: Turn) -> history_pb.Message:
        """The row of a reply that is being written."""
        row = history_pb.Message(
            conversation_id=turn.conversation_id,
            message_id=turn.reply_id,
            request=history_pb.ReplyRequest(model="m"),
        )
        self.messages[turn.reply_id] = row
        return row

    def end(self, turn: Turn, text: str) -> None:
        self.messages[turn.reply_id].text = text
        self.messages[turn.reply_id].result.status = history_pb.MESSAGE_STATUS_COMPLETED

    async def find(self, conversation_id: str, message_id: str) -> history_pb.Message | None:
        del conversation_id
        self.asked.set()
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        return self.messages.get(message_id)


class Watcher:
    """Somebody who watches a reply."""

    def __init__(self, hub: Hub, turn: Turn) -> None:
        self._changed = asyncio.Event()
        self._following = hub.follow(turn, self._changed.set)
        self.followed = self._following.__enter__()

    async def sees(self, text: str) -> None:
        await self.until(lambda: self.followed.text == text.encode())

    async def is_over(self) -> Followed:
        await self.until(lambda: self.followed.over)
        return self.followed

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await self._changed.wait()
                self._changed.clear()

    def leave(self) -> None:
        self._following.__exit__(None, None, None)


@asynccontextmanager
async def running(journal: Journal, config: Config, rows: Rows, feeds: Feeds | None = None) -> AsyncIterator[Hub]:
    hub = Hub(journal, cast("History", rows), Writer(journal, config), feeds or Feeds(), config)
    task = asyncio.create_task(hub.run())
    try:
        yield hub
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
