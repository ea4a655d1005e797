"""What a storm of cancelled calls needs of a driver: somebody's values are put, and read again."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


class Shelf(Protocol):
    """One store, journal or peer, with the methods that its service has. Each may raise DomainError UNAVAILABLE."""

    async def check(self) -> None:
        """Raises DomainError UNAVAILABLE until the others can be called; they may be called once it has passed."""

    async def put(self, owner: str, key: str, value: str) -> None:
        """Writes a value of the owner's; when it returns, the value is there. Keys are UUIDv7s, and never put again."""

    async def get(self, owner: str, key: str) -> str | None:
        """Reads a value of the owner's."""

    async def some(self, owner: str) -> Mapping[str, str]:
        """Reads several values of the owner's at once, by key."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What a driver talks to, while it runs."""

    opened: Callable[..., AbstractAsyncContextManager[Shelf]]
    """Opens the driver on ports of this machine, one for each of the addresses."""
    addresses: Sequence[tuple[str, int]] = ()
    """Where servers listen; none where there is but a file."""
    connections: int = 0
    """The most that the driver may have open to all of them."""
