"""Reading neighbours: rows of one segment between two ids, as many as fit into memory.

A row has some hundred bytes or two megabytes, and an answer holds whole rows: sizes are read first, then what fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.history.cassandra.rows import to_message
from services.history.cassandra.segments import END, FIRST, Segments
from services.history.cassandra.session import Row, Session
from services.history.cassandra.statements import Statements
from services.history.store import Message

WINDOW_BYTES = 4 * 1024 * 1024
"""How much of rows is read at once."""
LEAST_ROWS = 2
"""How many are read, whatever their sizes: whoever goes on from the last row of a window sees the next one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A part of a conversation."""

    conversation_id: str
    limit: int
    low: str = FIRST
    high: str = END
    """Both included."""
    rising: bool = False
    """Whether it is read from `low` on, and not from `high`."""
    room: int = WINDOW_BYTES
    least: int = LEAST_ROWS


@dataclass(frozen=True, slots=True)
class Window:
    """Rows that follow each other, in the order in which they are read."""

    rows: Sequence[Message]
    size: int
    """Bytes, about."""
    cut: bool
    """Whether there may be more."""


class Windows:
    """Reads them from a keyspace."""

    def __init__(self, session: Session, statements: Statements) -> None:
        self._session = session
        self._statements = statements

    async def read(self, wanted: Wanted, segments: Segments, place: int) -> Window:
        """Of the rows that belong to the segment at `place`."""
        low, high = max(wanted.low, segments.names[place]), min(wanted.high, segments.end(place))
        found = await self._sizes(wanted, segments.around(place), low, high)
        sizes = {id_: size + (more or 0) for rows in found.values() for id_, size, more in rows if size is not None}
        ids = sorted(sizes, reverse=not wanted.rising)[: wanted.limit]
        chosen = _fitting([sizes[id_] for id_ in ids], wanted)
        cut = chosen < len(ids) or any(len(rows) >= wanted.limit for rows in (sizes, *found.values()))
        ids = ids[:chosen]
        rows = await self._rows(wanted.conversation_id, found, set(ids))
        return Window([rows[id_] for id_ in ids if id_ in rows], sum(sizes[id_] for id_ in ids), cut)

    async def _sizes(self, wanted: Wanted, names: Sequence[str], low: str, high: str) -> Mapping[str, Sequence[Row]]:
        """By segment: the id of each row, and the sizes of its cells."""
        statement = self._statements.sizes_up if wanted.rising else self._statements.sizes_down
        values = (low, high, wanted.limit)
        found = await self._session.read_each(statement, [(wanted.conversation_id, name, *values) for name in names])
        return dict(zip(names, found, strict=True))

    async def _rows(
        self, conversation_id: str, found: Mapping[str, Sequence[Row]], ids: set[str]
    ) -> Mapping[str, Message]:
        """The rows of some ids, from the segments in which they were found."""
        holding = [name for name, rows in found.items() if any(row[0] in ids for row in rows)]
        copies: dict[str, list[Row]] = {}
        ranges = [(conversation_id, name, min(ids), max(ids)) for name in holding]
        for rows in await self._session.read_each(self._statements.rows, ranges):
            for id_, *cells in rows:
                copies.setdefault(id_, []).append(tuple(cells))
        merged = {id_: merge(conversation_id, id_, copies[id_]) for id_ in ids & copies.keys()}
        return {id_: message for id_, message in merged.items() if message}


def merge(conversation_id: str, message_id: str, copies: Sequence[Row]) -> Message | None:
    """A row from its copies, each (size, body, result); of two, the older segment's comes first, and counts."""
    whole = [copy for copy in copies if copy[0] is not None]
    if not whole:
        return None
    result = next((result for _, _, result in whole if result is not None), None)
    return to_message(conversation_id, message_id, whole[0][1], result)


def _fitting(sizes: Sequence[int], wanted: Wanted) -> int:
    """How many of the first rows fit."""
    taken = 0
    for count, size in enumerate(sizes):
        taken += size
        if taken > wanted.room and count >= wanted.least:
            return count
    return len(sizes)
