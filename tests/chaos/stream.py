"""A reply as one of its watchers has seen it so far."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.record import Asked


@dataclass(slots=True, eq=False)
class Stream:
    asked: Asked
    watcher: int
    """Of all watchers of the run."""
    text: str = ""
    cursor: str | None = None
    ended: Mapping[str, Any] | None = None
    """The message as its terminal event told it."""
    pause: float = 0.0
    """Seconds that its watcher takes before he looks at the next message."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """It ended, or its watcher gave up."""

    @property
    def words(self) -> int:
        return len(self.text.split())
