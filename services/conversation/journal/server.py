"""One Redis server: a bounded number of connections, and every command within its time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

SILENT_SECONDS = 3.0
"""A server that gives no answer for so long counts as away; waiting for a free connection is a part of it."""


class Server:
    """Raises RedisError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def run(self, *words: Any) -> Any:
        async with _answering():
            return await cast("Any", self._redis).execute_command(*words)

    async def run_asking(self, *words: Any) -> Any:
        """For a key that is on its way to this server: both commands on one connection."""
        async with _answering(), self._redis.pipeline(transaction=False) as pipeline:
            cast("Any", pipeline).execute_command("ASKING")
            cast("Any", pipeline).execute_command(*words)
            _, answer = await pipeline.execute(raise_on_error=False)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def subscribed(self, channels: Sequence[str]) -> AsyncIterator[PubSub]:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            async with _answering():
                await pubsub.subscribe(*channels)
            yield pubsub

    async def close(self) -> None:
        with suppress(RedisError):  # a server that hangs may not even say that it closes
            await self._redis.aclose()


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(SILENT_SECONDS):
            yield
    except TimeoutError as error:
        raise RedisTimeoutError("no answer") from error
