"""What one kind of SQL database brings with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import Engine, Table, exc

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

Insert: TypeAlias = "sqlite.Insert | postgresql.Insert"
"""An INSERT that can say ON CONFLICT: SQLAlchemy has it for each dialect, but not for all of them."""


@dataclass(frozen=True, slots=True)
class Backend:
    """How `Database` works on it. Its connections are not used beyond the turns."""

    reader: Engine
    """For queries."""
    single: Engine
    """For a statement that writes, and is its own transaction."""
    writer: Engine
    """For transactions; each sees what others committed before each of its statements."""
    reading: asyncio.Semaphore
    """Turns with `reader`."""
    writing: asyncio.Semaphore
    """Turns with `single` and `writer`."""
    threads: int
    """As many as there can be turns at once."""
    insert: Callable[[Table], Insert]
    refusal: Callable[[exc.DBAPIError], str]
    """What in the URL is to be changed before the database can be reached; nothing where waiting may help."""
    snapshot: Sequence[str]
    """What begins, on `reader`, a transaction that sees one state of everything."""
    alone: Sequence[str]
    """What makes a transaction of `writer`, that changes the schema, wait for others of its kind."""
