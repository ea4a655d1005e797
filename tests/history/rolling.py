"""A store whose segments are small, and what it is made of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.history.cassandra.limits import Limits
from services.history.cassandra.messages import Messages
from services.history.cassandra.roller import Roller
from services.history.cassandra.store import CassandraStore, open_cassandra
from services.history.patience import patiently
from services.history.store import Message
from tests.history.messages import user_message

SMALL = Limits(messages=10, grace_seconds=0)
"""Without grace: for tests that write one row after the other."""


class Rolling:
    """A store that adds segments soon, and its insides."""

    def __init__(self, store: CassandraStore) -> None:
        assert store._messages
        assert store._roller
        self.store: CassandraStore = store
        self.messages: Messages = store._messages
        self.roller: Roller = store._roller

    async def put(self, message: Message) -> None:
        await self.store.put(message)
        await self.roller.idle()

    async def fill(self, conversation_id: str, count: int, text: str = "hello") -> list[Message]:
        """Rows, each the child of the one before, of which each is looked at before the next one is written."""
        rows: list[Message] = []
        for _ in range(count):
            parent_id = rows[-1].message_id if rows else None
            rows.append(user_message(conversation_id, parent_id=parent_id, text=text))
            await self.put(rows[-1])
        return rows

    async def sizes(self, conversation_id: str) -> list[int]:
        """How many rows each segment holds."""
        segments = await self.roller.segments(conversation_id)
        keys = [(conversation_id, name) for name in segments.names]
        session, statements = self.messages._session, self.messages._statements
        return [rows[0][0] for rows in await session.read_each(statements.fill, keys)]


@asynccontextmanager
async def open_rolling(url: str, limits: Limits = SMALL) -> AsyncIterator[Rolling]:
    async with open_cassandra(url, limits) as store:
        await patiently(store.check)
        yield Rolling(store)
