"""An empty place on a real server, for one test: a keyspace, a database, a schema, a prefix."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import psycopg
from cassandra.cluster import Cluster
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from tests.servers import Server, server

DROP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    server: Server
    name: str
    url: str

    def through(self, port: int, login: str = "") -> str:
        """Its URL by another port of this machine, and as another user (`name:password`)."""
        parts = urlsplit(self.url)
        own = parts.netloc.rpartition("@")[0]
        login = login or own
        return parts._replace(netloc=f"{login}{'@' if login else ''}127.0.0.1:{port}").geturl()


@asynccontextmanager
async def cassandra_place() -> AsyncIterator[Place]:
    cassandra, name = server("cassandra"), _name()
    place = Place(cassandra, name, cassandra.url.replace("?", f"/{name}?") + "&replication_factor=1")
    try:
        yield place
    finally:
        await asyncio.to_thread(_drop_keyspace, cassandra, name)


@asynccontextmanager
async def mongodb_place() -> AsyncIterator[Place]:
    mongodb, name = server("mongodb"), _name()
    try:
        yield Place(mongodb, name, urlsplit(mongodb.url)._replace(path=f"/{name}").geturl())
    finally:
        async with AsyncMongoClient[dict[str, object]](mongodb.url) as client:
            await client.drop_database(name)


@asynccontextmanager
async def postgres_place() -> AsyncIterator[Place]:
    postgres, name = server("postgres"), _name()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"')
    try:
        yield Place(postgres, name, f"{postgres.url}?options={quote(f'-c search_path={name}')}")
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA "{name}" CASCADE')


@asynccontextmanager
async def redis_place() -> AsyncIterator[Place]:
    redis = server("redis")
    place = Place(redis, _name().replace("_", "-"), redis.url)
    try:
        yield place
    finally:
        async with Redis.from_url(redis.url) as client:
            async for key in client.scan_iter(f"{place.name}:*", count=1_000):
                await client.delete(key)


def _name() -> str:
    return f"faults_{secrets.token_hex(6)}"


def _drop_keyspace(server: Server, name: str) -> None:
    with Cluster([server.host], server.port) as cluster, cluster.connect() as session:
        session.execute(f"DROP KEYSPACE IF EXISTS {name}", timeout=DROP_SECONDS)
