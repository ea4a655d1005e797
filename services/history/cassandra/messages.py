"""Messages in the tables of a keyspace, spread over the segments of their conversation."""

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from cassandra.query import BatchStatement, BatchType

from services.history.cassandra.cluster import unavailable
from services.history.cassandra.roller import Roller
from services.history.cassandra.rows import ROOT, body_cell, body_size, result_cell, result_size
from services.history.cassandra.segments import END, FIRST, LARGE_BYTES, Segments, above
from services.history.cassandra.session import Row, Session
from services.history.cassandra.statements import Statements
from services.history.cassandra.window import Wanted, Windows, merge
from services.history.patience import patiently
from services.history.store import Message, Result

WRITE_SECONDS = 4.0
"""A row that took longer to write is not acknowledged: by now its segment may be one that nobody looks into."""
DUMP_ROWS = 64
PARTITIONS = 200
"""How many are listed at once."""
LIST_SECONDS = 10.0
"""How long listing them may take: empty stretches of the ring are read through."""
MAX_SWEEPS = 3

_RING_START = -(2**63)


class Messages:
    """The methods of a `Store`, on a keyspace whose schema is known."""

    def __init__(self, session: Session, statements: Statements, roller: Roller) -> None:
        self._session = session
        self._statements = statements
        self._roller = roller
        self._windows = Windows(session, statements)

    async def put(self, message: Message) -> None:
        started = time.monotonic()
        segments = await self._roller.segments(message.conversation_id)
        await self.put_into(segments, message)
        if time.monotonic() - started > WRITE_SECONDS:
            raise unavailable()

    async def put_into(self, segments: Segments, message: Message) -> None:
        """Writes a row where it belongs as of `segments`, and where its parent lists it."""
        parent_id, size = message.parent_id or ROOT, body_size(message)
        home, parents = segments.home(message.message_id), segments.home(parent_id)
        await self._make_room(segments, message.conversation_id, size)
        row = (message.conversation_id, home, message.message_id, size, body_cell(message))
        child = (message.conversation_id, parents, parent_id, message.message_id)
        if home == parents:
            # Of one partition key, a batch is one mutation: both or none, at the price of one, however large.
            both = BatchStatement(BatchType.UNLOGGED)
            both.add(self._statements.put, row).add(self._statements.put_child, child)
            both.is_idempotent = True
            await self._session.write(both)
        else:
            # A row that is there has its place among its siblings: who finds it writes neither again.
            await self._session.write(self._statements.put_child, child)
            await self._session.write(self._statements.put, row)
        self._roller.wrote(message.conversation_id, segments, message.message_id, size)

    async def complete(self, conversation_id: str, message_id: str, result: Result) -> None:
        segments = await self._roller.segments(conversation_id)
        homes = segments.homes(message_id)
        found = await self._session.read_each(
            self._statements.sizes, [(conversation_id, home, message_id) for home in homes]
        )
        copies = {home: rows[0][1] for home, rows in zip(homes, found, strict=True) if rows and rows[0][0] is not None}
        if copies and all(ended is None for ended in copies.values()):
            size = result_size(result)
            await self._make_room(segments, conversation_id, size)
            oldest = (conversation_id, next(iter(copies)), message_id)
            await self._session.write(self._statements.complete, (result_cell(result), size, *oldest))
            self._roller.wrote(conversation_id, segments, message_id, size)

    async def get(self, conversation_id: str, message_id: str) -> Message | None:
        segments = await self._roller.segments(conversation_id)
        found = await self._session.read_each(
            self._statements.get, [(conversation_id, home, message_id) for home in segments.homes(message_id)]
        )
        return merge(conversation_id, message_id, [row for rows in found for row in rows])

    async def scan(self, conversation_id: str, *, upto: str | None, limit: int) -> Sequence[Message]:
        segments = await self._roller.segments(conversation_id)
        wanted = Wanted(conversation_id, limit, high=upto or END)
        rows: list[Message] = []
        for place in range(segments.place(wanted.high), -1, -1):
            window = await self._windows.read(wanted, segments, place)
            rows += window.rows
            if window.cut:
                break
            read = len(window.rows)
            wanted = replace(
                wanted, limit=wanted.limit - read, room=wanted.room - window.size, least=max(0, wanted.least - read)
            )
        return rows

    async def children(
        self, conversation_id: str, parent_ids: Collection[str | None]
    ) -> Mapping[str | None, Sequence[str]]:
        segments = await self._roller.segments(conversation_id)
        parents: dict[str, set[str]] = {}
        for parent_id in parent_ids:
            for home in segments.homes(parent_id or ROOT):
                parents.setdefault(home, set()).add(parent_id or ROOT)
        found: dict[str | None, set[str]] = {}
        for rows in await self._session.read_each(
            self._statements.children, [(conversation_id, home, list(ids)) for home, ids in parents.items()]
        ):
            for parent_id, message_id in rows:
                found.setdefault(parent_id or None, set()).add(message_id)
        return {parent_id: sorted(ids) for parent_id, ids in found.items()}

    async def delete(self, conversation_id: str) -> int:
        segments = await self._roller.segments(conversation_id)
        deleted: set[str] = set()
        for segment in segments.names:
            deleted |= await self._sweep(conversation_id, segment)
        if segments != Segments():
            await self._session.write(self._statements.forget_segments, (conversation_id,))
        return len(deleted)

    async def dump(self) -> AsyncIterator[Message]:
        token = _RING_START
        while listed := await patiently(partial(self._partitions, token)):
            for conversation_id, segment, token in listed:  # noqa: B007 - the last one begins the next page
                if segment == FIRST:
                    async for message in self._rising(conversation_id):
                        yield message

    async def _make_room(self, segments: Segments, conversation_id: str, size: int) -> None:
        """Lets readers know of a large cell, before there is one."""
        if size > LARGE_BYTES and not segments.large:
            await self._session.write(self._statements.mark_large, (conversation_id,))

    async def _partitions(self, token: int) -> Sequence[Row]:
        """Some partitions after a place on the ring."""
        return await self._session.read(self._statements.partitions, (token, PARTITIONS), seconds=LIST_SECONDS)

    async def _sweep(self, conversation_id: str, segment: str) -> set[str]:
        """Deletes a segment, and looks again: a result may have come meanwhile. Returns the ids of the rows."""
        key = (conversation_id, segment)
        deleted: set[str] = set()
        for _ in range(MAX_SWEEPS):
            rows = await self._session.read(self._statements.written, key)
            deleted |= {message_id for message_id, size, *_ in rows if size is not None}
            # Others' clocks may be ahead of this one's.
            times = [written for row in rows for written in row[2:] if written is not None]
            key_from = (max([self._session.timestamp(), *times]), *key)
            await self._session.write(self._statements.delete_children, key_from)
            if not rows:
                return deleted
            await self._session.write(self._statements.delete, key_from)
        raise unavailable()  # somebody is writing into it, faster than it can be deleted

    async def _rising(self, conversation_id: str) -> AsyncIterator[Message]:
        """A conversation from its smallest id on."""
        segments = await patiently(partial(self._roller.segments, conversation_id))
        for place in range(len(segments.names)):
            wanted = Wanted(conversation_id, DUMP_ROWS, rising=True)
            while True:
                window = await patiently(partial(self._windows.read, wanted, segments, place))
                for message in window.rows:
                    yield message
                if not (window.cut and window.rows):
                    break
                wanted = replace(wanted, low=above(window.rows[-1].message_id))
