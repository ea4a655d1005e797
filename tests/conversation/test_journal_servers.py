"""The journal on the Redis and the Redis Cluster of the environment, which others may be using, too."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis, RedisCluster

from services.conversation.config import Config
from services.conversation.journal import Journal, open_journal
from services.conversation.writer import Writer
from tests.conversation.contract import JournalContract
from tests.conversation.steps import a_config, a_turn, claimed, text_of
from tests.servers import server


async def remove(redis: Redis | RedisCluster, config: Config) -> None:
    """Only what this test wrote."""
    async with redis:
        async for key in redis.scan_iter(match=f"{config.redis_prefix}*", count=1000):
            await redis.delete(key)


class TestOnRedis(JournalContract):
    @pytest.fixture
    async def config(self) -> AsyncIterator[Config]:
        url = server("redis").url
        config = a_config(url)
        yield config
        await remove(Redis.from_url(url), config)


class TestOnRedisCluster(JournalContract):
    @pytest.fixture
    async def config(self) -> AsyncIterator[Config]:
        url = server("redis-cluster").url
        config = a_config(url, redis_cluster=True)
        yield config
        await remove(RedisCluster.from_url(url), config)


async def test_drafts_wait_while_redis_restarts() -> None:
    redis = server("redis")
    config = a_config(redis.url, lease_seconds=10)
    async with asyncio.timeout(60), open_journal(config) as journal:
        await _write_through_a_restart(journal, config)
    await remove(Redis.from_url(redis.url), config)


async def _write_through_a_restart(journal: Journal, config: Config) -> None:
    redis = server("redis")
    await journal.check()
    writer = Writer(journal, config)
    running = asyncio.create_task(writer.run())
    draft = await claimed(journal, a_turn())
    async with writer.writing(draft):
        draft.add([1], "before ")
        await writer.flush(draft)
        await redis.kill()
        draft.add([2], "after")
        flushing = asyncio.create_task(writer.flush(draft))
        await redis.start()
        await flushing
        assert await text_of(journal, draft.turn) == b"before after"
    running.cancel()
