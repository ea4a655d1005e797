"""Three nodes, of which one is killed under load."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.history.cassandra.limits import Limits
from services.history.cassandra.store import CassandraStore, open_cassandra
from services.history.store import Message
from services.history.tree import everything
from tests.history.cluster import cluster_url, kill, start
from tests.history.conftest import drop, migrated
from tests.history.messages import reply_to, result, user_message

TRIES = 3
"""As a client makes them, which has its ids and may repeat every call."""
WRITERS = 4
PHASE_SECONDS = 6.0


@pytest.fixture
def url() -> Iterator[str]:
    url = cluster_url(f"parley_test_{secrets.token_hex(4)}")
    asyncio.run(migrated(url))
    yield url
    drop(url)


class Writer:
    """Asks and answers in one conversation, and reads what it wrote."""

    def __init__(self, store: CassandraStore) -> None:
        self._store = store
        self.conversation_id = new_id()
        self.acknowledged: list[Message] = []
        self.repeated = 0

    async def write(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            parent_id = self.acknowledged[-1].message_id if self.acknowledged else None
            question = user_message(self.conversation_id, parent_id=parent_id)
            reply = reply_to(question)
            for row in (question, reply):
                await self._tried(partial(self._store.put, row))
                self.acknowledged.append(row)
            await self._tried(partial(self._store.complete, self.conversation_id, reply.message_id, result()))
            self.acknowledged[-1] = replace(reply, result=result())
            await self._tried(self._reads)
            await asyncio.sleep(0.05)  # the nodes share this machine

    async def _reads(self) -> None:
        rows = await self._store.scan(self.conversation_id, upto=None, limit=20)
        assert rows == self.acknowledged[:-21:-1]

    async def _tried(self, call: Callable[[], Awaitable[None]]) -> None:
        for _ in range(TRIES - 1):
            try:
                return await call()
            except DomainError:
                self.repeated += 1
        return await call()


@pytest.mark.timeout(400)  # a node takes its time to come back
async def test_a_node_that_is_killed_loses_nothing_and_costs_no_error_beyond_repeating(url: str) -> None:
    async with open_cassandra(url, Limits(messages=100)) as store:
        await store.check()
        writers = [Writer(store) for _ in range(WRITERS)]
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for writer in writers:
                tasks.create_task(writer.write(stop))
            for change in (None, kill, start):
                if change:
                    await change("cassandra2")
                until = time.monotonic() + PHASE_SECONDS
                before = [len(writer.acknowledged) for writer in writers]
                while time.monotonic() < until or any(
                    len(writer.acknowledged) <= count for writer, count in zip(writers, before, strict=True)
                ):
                    await asyncio.sleep(0.1)
            stop.set()
        for writer in writers:
            rows = [row async for row in everything(store, writer.conversation_id, None)]
            assert rows == writer.acknowledged[::-1]
    async with open_cassandra(url) as again:
        await again.check()
        for writer in writers:
            assert await again.delete(writer.conversation_id) == len(writer.acknowledged)
