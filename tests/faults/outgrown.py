"""Schemas that a later release has taken beyond what this one knows, for as long as a block lasts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from cassandra.cluster import Cluster
from pymongo import AsyncMongoClient

from tests.faults.places import Place

VERSION = 99
READ = "SELECT version, works_from FROM schema_version WHERE name = 'history'"
WRITE = "UPDATE schema_version SET version = %s, works_from = %s WHERE name = 'history'"


@asynccontextmanager
async def outgrown_cassandra(place: Place) -> AsyncIterator[None]:
    def write(version: int, works_from: int) -> tuple[int, int]:
        with Cluster([place.server.host], place.server.port) as cluster, cluster.connect(place.name) as session:
            before = session.execute(READ).one()
            session.execute(WRITE, (version, works_from))
            return before.version, before.works_from

    before = await asyncio.to_thread(write, VERSION, VERSION)
    try:
        yield
    finally:
        await asyncio.to_thread(write, *before)


@asynccontextmanager
async def outgrown_mongodb(place: Place) -> AsyncIterator[None]:
    async with AsyncMongoClient[dict[str, object]](place.url) as client:
        versions = client[place.name]["schema"]
        later = {"version": VERSION, "works_from": VERSION}
        before = await versions.find_one_and_update({"_id": "metadata"}, {"$set": later})
        assert before
        try:
            yield
        finally:
            await versions.replace_one({"_id": "metadata"}, before)


@asynccontextmanager
async def outgrown_postgres(place: Place) -> AsyncIterator[None]:
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("INSERT INTO schema_versions (version, works_from) VALUES (%s, %s)", (VERSION, VERSION))
        try:
            yield
        finally:
            connection.execute("DELETE FROM schema_versions WHERE version = %s", (VERSION,))
