"""PostgreSQL, through psycopg in threads: a call that is cancelled leaves its statement to the thread that runs it.

A server that hangs is noticed by time alone: each thing that can be waited for has a limit, the last of which is the
`Line` that is cut from outside.
"""

import asyncio
import os
import re
import select
import socket
from contextlib import suppress
from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import create_engine, event, exc
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import QueuePool

from services.auth.sql.backend import Backend
from services.auth.sql.threads import line
from services.chassis.process import RefusedError

_CONNECTION = {
    "connect_timeout": "3",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
    "application_name": "parley-auth",
}
"""In seconds and (the last time) milliseconds. What the URL says goes before."""
_SESSION = {
    # Sooner than the line is cut, so that a statement that is slow costs no connection …
    "statement_timeout": "4000",
    # … and later than PostgreSQL looks for a deadlock, which is after 1 s.
    "lock_timeout": "3000",
    # Locks of a client that vanished without a word are free again after this.
    "idle_in_transaction_session_timeout": "10000",
    "default_transaction_isolation": "read\\ committed",
}
"""Milliseconds."""
_MIGRATIONS = 0x7061726C6579  # "parley": of PostgreSQL's advisory locks, the one for changes to the schema
_REFUSALS = {
    r"authentication failed|no password supplied|role .+ (does not exist|is not permitted)": (
        "the database knows no such user with this password"
    ),
    r"invalid (\w+ value|port number)|bad value for|Servname not supported": "an option or the port has no such value",
    r"root certificate file .+ does not exist": "sslrootcert names no file",
}
"""By libpq's words: it gives no code for what ends a connection attempt."""


def postgres_backend(url: str, connections: int) -> Backend:
    """`url` is libpq's: postgresql://user:password@host:port/database?sslmode=…; up to `connections` at once."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=partial(_Connection.connect, _conninfo(url)),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
        use_native_hstore=False,
    )
    event.listen(engine, "checkout", _check_out)
    event.listen(engine, "checkin", _check_in)
    # Its statements are one round trip instead of three.
    single = engine.execution_options(isolation_level="AUTOCOMMIT")
    turns = asyncio.Semaphore(connections)
    return Backend(
        reader=single,
        single=single,
        writer=engine,
        reading=turns,
        writing=turns,
        threads=connections,
        insert=postgresql.insert,
        refusal=_refusal,
        snapshot=("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", *_AT_LENGTH),
        alone=(*_AT_LENGTH, f"SELECT pg_advisory_xact_lock({_MIGRATIONS})"),
    )


_AT_LENGTH = ("SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0")


def _refusal(error: exc.DBAPIError) -> str:
    if not isinstance(error, exc.OperationalError | exc.ProgrammingError):
        return ""
    said = str(error.orig)
    return next((words for pattern, words in _REFUSALS.items() if re.search(pattern, said)), "")


class _Connection(psycopg.Connection[Any]):
    """One that another thread can cut."""

    used = False
    """Whether it was there for anybody before."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        # A descriptor of its own: libpq's may be closed, and its number another file's, when the cut comes.
        self._socket = socket.socket(fileno=os.dup(self.fileno()))
        line().hold(self.cut)

    def cut(self) -> None:
        with suppress(OSError):  # it is closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        self._socket.close()

    def has_ended(self) -> bool:
        """Whether the server hung up. It says nothing between two statements, except for its last words."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))


def _check_out(connection: _Connection, *_: object) -> None:
    # Before anything was sent, a connection that ended (and every other one of that time) is replaced in silence.
    if connection.used and connection.has_ended():
        raise exc.InvalidatePoolError
    connection.used = True
    line().hold(connection.cut)


def _check_in(connection: _Connection | None, _: object) -> None:
    if connection:
        line().let_go()


def _conninfo(url: str) -> str:
    try:
        given: dict[str, Any] = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise RefusedError("PARLEY_STORE_URL: cannot be read as a PostgreSQL URL") from None
    session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    options = f"{session} {given.pop('options', '') or ''}".strip()
    return make_conninfo(**{**_CONNECTION, **given, "options": options})
