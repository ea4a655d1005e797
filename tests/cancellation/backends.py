"""Every driver of the mesh, each with what it talks to."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.auth.stores import open_database
from services.history import stores as history
from services.metadata import stores as metadata
from tests.cancellation import auth, journal
from tests.cancellation.auth import open_auth
from tests.cancellation.engine import engine_behind_grpc
from tests.cancellation.history import open_history
from tests.cancellation.journal import open_replies
from tests.cancellation.metadata import open_metadata
from tests.cancellation.peer import history_behind_grpc
from tests.cancellation.redis_cluster import redis_cluster
from tests.cancellation.shelf import Backend, Shelf
from tests.faults.places import cassandra_place, mongodb_place, postgres_place, redis_place

Start = Callable[[Path], AbstractAsyncContextManager[Backend]]
"""Starts what a driver talks to, with its files in this folder; leaves the test out where its server is not named."""

CASSANDRA_CONNECTIONS = 2
"""To a node: one for requests, and one for what the driver learns of the cluster."""
MONGODB_CONNECTIONS = 50 + 2
"""The pool's, and the two by which the driver watches a server."""


def _file(opening: Callable[[str], AbstractAsyncContextManager[Shelf]]) -> Start:
    @asynccontextmanager
    async def start(folder: Path) -> AsyncIterator[Backend]:
        yield Backend(lambda: opening(f"sqlite:///{folder}/store.sqlite"))

    return start


@asynccontextmanager
async def _cassandra(_: Path) -> AsyncIterator[Backend]:
    async with cassandra_place() as place:
        await history.migrate(place.url)
        address = place.server.host, place.server.port
        yield Backend(lambda port: open_history(place.through(port)), [address], CASSANDRA_CONNECTIONS)


@asynccontextmanager
async def _mongodb(_: Path) -> AsyncIterator[Backend]:
    async with mongodb_place() as place:
        await metadata.migrate(place.url)
        address = place.server.host, place.server.port
        yield Backend(lambda port: open_metadata(place.through(port)), [address], MONGODB_CONNECTIONS)


@asynccontextmanager
async def _postgres(_: Path) -> AsyncIterator[Backend]:
    async with postgres_place() as place:
        async with open_database(place.url, connections=1) as database:
            await database.migrate()
        address = place.server.host, place.server.port
        yield Backend(lambda port: open_auth(place.through(port)), [address], auth.CONNECTIONS)


@asynccontextmanager
async def _redis(_: Path) -> AsyncIterator[Backend]:
    async with redis_place() as place:
        address = place.server.host, place.server.port
        yield Backend(lambda port: open_replies(place.through(port), place.name), [address], journal.connections(1))


@dataclass(frozen=True, slots=True)
class Driver:
    start: Start
    share: float
    """Its part of all operations: some servers are slower than others."""


DRIVERS = {
    "history in a file": Driver(_file(open_history), 0.12),
    "history in Cassandra": Driver(_cassandra, 0.08),
    "history behind gRPC": Driver(history_behind_grpc, 0.12),
    "inference behind gRPC": Driver(engine_behind_grpc, 0.06),
    "metadata in a file": Driver(_file(open_metadata), 0.12),
    "metadata in MongoDB": Driver(_mongodb, 0.04),
    "auth in a file": Driver(_file(open_auth), 0.12),
    "auth in PostgreSQL": Driver(_postgres, 0.12),
    "conversation in Redis": Driver(_redis, 0.12),
    "conversation in a Redis Cluster": Driver(redis_cluster, 0.1),
}
