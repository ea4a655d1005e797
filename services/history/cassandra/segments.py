"""The segments of a conversation: each is a partition, and is named by the smallest id that it holds.

A writer that read the segments just before one was added may still put a row into the segment before its own. So a row
is in the segment with the greatest start up to its id, or in the one before that; `roller.py` sees to it that it is in
no earlier one.
"""

from bisect import bisect_right
from dataclasses import dataclass

FIRST = ""
"""The start of the first segment, which needs no entry."""

LARGE_BYTES = 32 * 1024
"""Of a cell. A page of rows with none that is larger is read at once."""

END = "~"
"""Greater than every id and every start."""


@dataclass(frozen=True, slots=True)
class Segments:
    """As they were at a moment; later ones only add to the end."""

    starts: tuple[str, ...] = ()
    """Of all but the first, rising."""
    large: bool = False
    """Whether there may be a row in them with a cell of more than LARGE_BYTES."""

    @property
    def names(self) -> tuple[str, ...]:
        return (FIRST, *self.starts)

    @property
    def last(self) -> int:
        return len(self.starts)

    def place(self, message_id: str) -> int:
        """The number of the segment that an id belongs to; the first is 0."""
        return bisect_right(self.starts, message_id)

    def home(self, message_id: str) -> str:
        """The segment that a row is put into."""
        return self.names[self.place(message_id)]

    def homes(self, message_id: str) -> tuple[str, ...]:
        """The segments that a row may be in, the older first."""
        return self.around(self.place(message_id))

    def around(self, place: int) -> tuple[str, ...]:
        """The segment at `place`, after the one before it, if there is one."""
        return self.names[max(place - 1, 0) : place + 1]

    def end(self, place: int) -> str:
        """Greater than every id that belongs to the segment at `place`, and no id itself."""
        return self.starts[place] if place < self.last else END


def above(message_id: str) -> str:
    """Greater than an id, smaller than every greater id, and no id itself."""
    return message_id + "+"
