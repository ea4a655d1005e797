"""Places in PostgreSQL for these tests alone, and the commands that work on them."""

import asyncio
import secrets
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import psycopg

from services.auth.sql.database import Database
from services.auth.sql.store import sql_store
from services.auth.sql.tables import metadata
from services.auth.store import Store
from services.auth.stores import open_database
from services.chassis.config import child_environment


@contextmanager
def new_schema(url: str) -> Iterator[str]:
    """The URL of a schema of its own, in which there is nothing."""
    name = f"auth_{secrets.token_hex(6)}"
    execute(url, f"CREATE SCHEMA {name}")
    try:
        yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"
    finally:
        execute(url, f"DROP SCHEMA {name} CASCADE")


@asynccontextmanager
async def opened(url: str, connections: int = 2) -> AsyncIterator[tuple[Database, Store]]:
    """A database with its schema, ready for use."""
    async with open_database(url, connections) as database:
        await database.check()
        yield database, sql_store(database)


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def empty(url: str) -> None:
    """Removes every row of a migrated store."""
    execute(url, *(f"DELETE FROM {table}" for table in metadata.tables if table != "schema_versions"))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int | None
    output: bytes
    words: str


async def command(name: str, store_url: str, given: bytes = b"") -> Ended:
    """Runs `python -m services.auth.<name>`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"services.auth.{name}"),
        env=child_environment({"PARLEY_STORE_URL": store_url}),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    output, words = await process.communicate(given)
    return Ended(process.returncode, output, words.decode())
