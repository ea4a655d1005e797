"""Reading neighbours: rows of one segment between two ids, as many as fit into memory.

A row has some hundred bytes or two megabytes, and an answer holds whole rows. So where there may be large ones, their
sizes are read first, and then what fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.history.cassandra.rows import to_message
from services.history.cassandra.segments import END, FIRST, Segments
from services.history.cassandra.session import Row, Session
from services.history.cassandra.statements import Statements
from services.history.store import Message

WINDOW_BYTES = 4 * 1024 * 1024
"""How much of rows is read at once."""
WHOLE_ROWS = 128
"""How many rows without large cells are read without a look at their sizes: eight megabytes of them, at most."""
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


@dataclass(frozen=True, slots=True)
class _Part:
    """Which rows of a segment are read."""

    low: str
    high: str
    limit: int
    cut: bool | None = None
    """Whether there may be more than are in it, where that is known."""


class Windows:
    """Reads them from a keyspace."""

    def __init__(self, session: Session, statements: Statements) -> None:
        self._session = session
        self._sizes = (statements.sizes_down, statements.sizes_up)
        self._rows = (statements.rows_down, statements.rows_up)

    async def read(self, wanted: Wanted, segments: Segments, place: int) -> Window:
        """Of the rows that belong to the segment at `place`."""
        names = segments.around(place)
        low, high = max(wanted.low, segments.names[place]), min(wanted.high, segments.end(place))
        part = _Part(low, high, wanted.limit)
        if segments.large or wanted.limit > WHOLE_ROWS:
            part = await self._fitting(wanted, names, part)
            if not part.limit:
                return Window((), 0, bool(part.cut))
        copies, full = await self._read(wanted, names, part, self._rows)
        rows = [row for id_, each in copies.items() if (row := merge(wanted.conversation_id, id_, each))]
        return Window(rows, sum(map(_size, copies.values())), full if part.cut is None else part.cut)

    async def _fitting(self, wanted: Wanted, names: Sequence[str], part: _Part) -> _Part:
        """The part of a part that fits into memory."""
        copies, full = await self._read(wanted, names, part, self._sizes)
        ids = list(copies)
        chosen = ids[: _count([_size(each) for each in copies.values()], wanted)]
        cut = full or len(chosen) < len(ids)
        return _Part(min(chosen), max(chosen), len(chosen), cut) if chosen else _Part("", "", 0, cut)

    async def _read(
        self, wanted: Wanted, names: Sequence[str], part: _Part, statements: tuple[Any, Any]
    ) -> tuple[dict[str, list[Row]], bool]:
        """The copies of each row, in the order in which they are wanted, and whether there may be more."""
        values = (part.low, part.high, part.limit)
        found = await self._session.read_each(
            statements[wanted.rising], [(wanted.conversation_id, name, *values) for name in names]
        )
        copies: dict[str, list[Row]] = {}
        for id_, *cells in (row for rows in found for row in rows):
            copies.setdefault(id_, []).append(tuple(cells))
        ids = sorted(copies, reverse=not wanted.rising)[: part.limit]
        full = len(copies) >= part.limit or any(len(rows) >= part.limit for rows in found)
        return {id_: copies[id_] for id_ in ids}, full


def merge(conversation_id: str, message_id: str, copies: Sequence[Row]) -> Message | None:
    """A row from its copies, each (size, size of the result, body, result); of two, the older segment's comes first."""
    whole = [copy for copy in copies if copy[0] is not None]
    if not whole:
        return None
    result = next((copy[3] for copy in whole if copy[3] is not None), None)
    return to_message(conversation_id, message_id, whole[0][2], result)


def _size(copies: Sequence[Row]) -> int:
    """Bytes of a row, about."""
    return max((copy[0] or 0) + (copy[1] or 0) for copy in copies)


def _count(sizes: Sequence[int], wanted: Wanted) -> int:
    """How many of the first rows fit."""
    taken = 0
    for count, size in enumerate(sizes):
        taken += size
        if taken > wanted.room and count >= wanted.least:
            return count
    return len(sizes)
