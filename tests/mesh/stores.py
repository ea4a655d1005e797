"""Where a mesh under test keeps what it remembers: its own files, or databases of its own on real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit
from uuid import uuid4

import psycopg
from cassandra.cluster import Cluster
from pymongo import AsyncMongoClient

from tests.servers import Server, server

KINDS = ("embedded", "real")


@asynccontextmanager
async def stores(kind: str) -> AsyncIterator[dict[str, str]]:
    """The environment of a mesh whose stores are empty. Leaving drops what it wrote on servers."""
    if kind == "embedded":
        yield {}
        return
    cassandra, mongodb, postgres, redis = (server(name) for name in ("cassandra", "mongodb", "postgres", "redis"))
    name = f"mesh_{uuid4().hex[:16]}"
    parts = urlsplit(mongodb.url)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"')
    try:
        yield {
            "PARLEY_HISTORY_STORE_URL": cassandra.url.replace("?", f"/{name}?") + "&replication_factor=1",
            "PARLEY_METADATA_STORE_URL": parts._replace(path=f"/{name}").geturl(),
            "PARLEY_AUTH_STORE_URL": f"{postgres.url}?options={quote(f'-c search_path={name}')}",
            "PARLEY_REDIS_URL": redis.url,
            "PARLEY_REDIS_PREFIX": name.replace("_", "-"),
        }
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA "{name}" CASCADE')
        async with AsyncMongoClient[dict[str, object]](mongodb.url) as client:
            await client.drop_database(name)
        await asyncio.to_thread(_drop_keyspace, cassandra, name)


def _drop_keyspace(server: Server, name: str) -> None:
    with Cluster([server.host], server.port) as cluster, cluster.connect() as session:
        session.execute(f"DROP KEYSPACE IF EXISTS {name}", timeout=60)
