"""What the stores of a running mesh hold, row by row, whatever they are."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import psutil
from redis.asyncio import Redis

from tests.mesh.running import Running

STORES = ("auth", "history", "metadata")


async def mentions(running: Running, *ids: str) -> list[str]:
    """The rows of all stores, each with its store's name, that hold one of the ids in any column."""
    stores = await asyncio.gather(*(_rows(running, name) for name in STORES))
    rows = [f"{name}: {row}" for name, rows in zip(STORES, stores, strict=True) for row in rows]
    return [row for row in rows if any(each in row for each in ids)]


async def lasting_mentions(running: Running, *ids: str) -> list[str]:
    """The keys of the journal that hold one of the ids and do not expire, and the entries of its queues that do."""
    async with _journal(running) as redis:
        hashes = [key async for key in redis.scan_iter(_type="HASH")]
        found = [key for key in hashes if _mentions(await redis.hgetall(key), ids) and await redis.ttl(key) < 0]
        async for key in redis.scan_iter(_type="STREAM"):
            found += [f"{key} {entry}" for entry in await redis.xrange(key) or () if _mentions(entry, ids)]
    return found


async def texts(running: Running) -> set[str]:
    """The keys of the journal that hold texts and tokens of replies."""
    prefix = _environment(running).get("PARLEY_REDIS_PREFIX", "parley")
    async with _journal(running) as redis:
        return {key async for key in redis.scan_iter(f"{prefix}:*", _type="STRING")}


@asynccontextmanager
async def _journal(running: Running) -> AsyncIterator[Redis]:
    async with Redis.from_url(_environment(running)["PARLEY_REDIS_URL"], decode_responses=True) as redis:
        yield redis


def _environment(running: Running) -> dict[str, str]:
    return psutil.Process(running.processes("conversation")[0]).environ()


def _mentions(value: object, ids: tuple[str, ...]) -> bool:
    text = json.dumps(value)
    return any(each in text for each in ids)


async def _rows(running: Running, name: str) -> list[str]:
    file = running.folder / f"{name}.sqlite"
    return _cells(file) if file.exists() else await _backup(running, name)


def _cells(file: Path) -> list[str]:
    rows = []
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows += [f"{table} {row!r}" for row in database.execute(f'SELECT * FROM "{table}"')]
    return rows


async def _backup(running: Running, name: str) -> list[str]:
    environment = psutil.Process(running.processes(name)[0]).environ()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"services.{name}.backup"), env=environment, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().splitlines()
