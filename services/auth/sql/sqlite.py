"""A SQLite file: acknowledged means on disk, and writes come one after another, also those of several processes."""

import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import QueuePool

from services.auth.sql.backend import Backend
from services.chassis.sqlite import BUSY_MILLISECONDS, file_of

_POOL: dict[str, Any] = {
    "poolclass": QueuePool,
    "max_overflow": 0,
    "hide_parameters": True,
    # A connection may serve one thread after the other.
    "connect_args": {"check_same_thread": False},
}


def sqlite_backend(url: str, connections: int) -> Backend:
    """Up to `connections` read at once. `url`, and what is raised, as in `file_of`."""
    path = file_of(url)
    writer = _writer(path)
    return Backend(
        reader=_reader(path, connections),
        single=writer,
        writer=writer,
        reading=asyncio.Semaphore(connections),
        # SQLite has one writer: those of this process take turns, those of others wait for the file.
        writing=asyncio.Semaphore(1),
        threads=connections + 1,
        insert=sqlite.insert,
        refusal=lambda _: "",
        snapshot=("BEGIN",),
        alone=(),
    )


def _writer(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", pool_size=1, **_POOL)
    _prepare(engine)

    # Python's driver would begin where it guesses that it should; here every transaction is begun by name.
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _reader(path: Path, connections: int) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=connections,
        # A single query needs no transaction.
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
        **_POOL,
    )
    _prepare(engine, "query_only = ON")
    return engine


def _prepare(engine: Engine, *more: str) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (f"busy_timeout = {BUSY_MILLISECONDS}", "journal_mode = WAL", "synchronous = FULL", *more):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
