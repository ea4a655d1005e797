"""One Redis server, or whatever looks like one: a managed service that keeps its nodes to itself."""

from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from services.conversation.journal.access import Access
from services.conversation.journal.server import Server

ONCE_MORE = Retry(NoBackoff(), 1, (RedisConnectionError, ReadOnlyError))
"""On a new connection: the old one may lead to a server that is gone, or is a replica now."""


class Single:
    def __init__(self, access: Access) -> None:
        self._server = access.server(ONCE_MORE)

    async def call(self, shard: int, *words: Any) -> Any:
        del shard
        return await self._server.run(*words)

    def listener(self) -> Server:
        return self._server

    async def close(self) -> None:
        await self._server.close()
