"""Messages in a Cassandra cluster, which may be away."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from services.history.cassandra.cluster import unavailable
from services.history.cassandra.limits import Limits
from services.history.cassandra.messages import Messages
from services.history.cassandra.roller import Roller
from services.history.cassandra.schema import STEPS, Step, find, recorded, require_known
from services.history.cassandra.session import Session, open_session, time_limit
from services.history.cassandra.statements import Statements
from services.history.cassandra.url import Address, parse
from services.history.store import Message, Result

OPERATION_SECONDS = 4.5
"""How long a caller waits at most. Deleting and dumping take as many requests as they need, each with a limit."""


class CassandraStore:
    """A `Store`. It connects when it is first checked, and works once a check has passed."""

    def __init__(self, address: Address, limits: Limits, steps: Sequence[Step] = STEPS) -> None:
        self._address = address
        self._limits = limits
        self._steps = steps
        self._session: Session | None = None
        self._roller: Roller | None = None
        self._messages: Messages | None = None
        self._opening: asyncio.Task[None] | None = None

    async def put(self, message: Message) -> None:
        async with time_limit(OPERATION_SECONDS):
            await self._open.put(message)

    async def complete(self, conversation_id: str, message_id: str, result: Result) -> None:
        async with time_limit(OPERATION_SECONDS):
            await self._open.complete(conversation_id, message_id, result)

    async def get(self, conversation_id: str, message_id: str) -> Message | None:
        async with time_limit(OPERATION_SECONDS):
            return await self._open.get(conversation_id, message_id)

    async def scan(self, conversation_id: str, *, upto: str | None, limit: int) -> Sequence[Message]:
        async with time_limit(OPERATION_SECONDS):
            return await self._open.scan(conversation_id, upto=upto, limit=limit)

    async def children(
        self, conversation_id: str, parent_ids: Collection[str | None]
    ) -> Mapping[str | None, Sequence[str]]:
        async with time_limit(OPERATION_SECONDS):
            return await self._open.children(conversation_id, parent_ids)

    async def delete(self, conversation_id: str) -> int:
        return await self._open.delete(conversation_id)

    def dump(self) -> AsyncIterator[Message]:
        return self._open.dump()

    async def check(self) -> None:
        if self._session and self._messages:
            require_known(await recorded(self._session, self._address.keyspace), self._steps)
            return
        # Who checks may have less time than connecting takes: it goes on, and the next check finds how far it is.
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect())
        opening = self._opening
        try:
            await asyncio.shield(opening)
        finally:
            if opening.done():
                self._opening = None

    async def close(self) -> None:
        if self._opening:
            await asyncio.wait([self._opening])  # a thread cannot be cancelled; it takes some seconds at most
        if self._roller:
            await self._roller.close()
        if self._session:
            await self._session.close()

    @property
    def _open(self) -> Messages:
        if self._messages is None:
            raise unavailable()
        return self._messages

    async def _connect(self) -> None:
        if self._session is None:
            self._session = await open_session(self._address)
        require_known(await find(self._session, self._address.keyspace), self._steps)
        statements = await asyncio.to_thread(Statements, self._session.prepare, self._address.keyspace)
        self._roller = Roller(self._session, statements, self._limits)
        self._messages = Messages(self._session, statements, self._roller)


@asynccontextmanager
async def open_cassandra(
    url: str, limits: Limits | None = None, steps: Sequence[Step] = STEPS
) -> AsyncIterator[CassandraStore]:
    """Does not connect: `check` does. Raises RefusedError at a wrong URL."""
    store = CassandraStore(parse(url), limits or Limits(), steps)
    try:
        yield store
    finally:
        await store.close()
