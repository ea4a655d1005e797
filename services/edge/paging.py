"""Connections over pages: a cursor for every item, whatever the size of the pages that it is read in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.chassis.checks import Checks
from services.chassis.paging import seal, unseal

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Place:
    """Behind the first `taken` items of the page that `token` opens."""

    token: str = ""
    taken: int = 0

    @classmethod
    def read(cls, position: str) -> "Place":
        taken, _, token = position.partition(".")
        return cls(token, int(taken))

    def __str__(self) -> str:
        return f"{self.taken}.{self.token}"


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of one list."""

    scope: str

    def write(self, place: Place) -> str:
        return seal(self.scope, str(place))

    def read(self, cursor: str | None) -> Place:
        """Raises INVALID_PAGE_TOKEN unless the cursor was written for the same list."""
        position = unseal(self.scope, cursor or "")
        return Place() if position is None else Place.read(position)


@dataclass(frozen=True, slots=True)
class Fetched(Generic[Item]):
    """One page as a service gave it; an empty token means that it was the last."""

    items: Sequence[Item]
    next_token: str


Fetch = Callable[[str, int], Awaitable[Fetched[Item]]]
"""Reads the page that a token opens, with at most so many items."""


@dataclass(frozen=True, slots=True)
class Slice(Generic[Item]):
    items: list[tuple[Item, Place]]
    """Each with the place behind it."""
    more: bool


async def read_slice(fetch: Fetch[Item], start: Place, size: int, page_limit: int) -> Slice[Item]:
    """At least one and up to `size` items from `start`; none only where the list ends.

    Services end a page early where its items are large, and then so does the slice.
    """
    here = start
    while True:
        fetched = await fetch(here.token, min(page_limit, here.taken + size))
        items = [
            (item, Place(here.token, number)) for number, item in enumerate(fetched.items[here.taken :], here.taken + 1)
        ]
        if not fetched.next_token:
            return Slice(items, more=False)
        # A page may be shorter than when the cursor was made; then some of what lies before it is on the next.
        here = Place(fetched.next_token, max(0, here.taken - len(fetched.items)))
        if items:
            # The place behind a page is where the next one starts, which stays exact while others write.
            items[-1] = (items[-1][0], here)
            return Slice(items, more=True)


def page_size(name: str, size: int | None, default: int, limit: int) -> int:
    """The size that an argument asks for. Raises INVALID_ARGUMENT."""
    size = default if size is None else size
    with Checks() as check:
        check.range(name, size, 1, limit)
    return size
