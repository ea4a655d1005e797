"""The Redis that a journal lives in: one server, or the nodes of a cluster."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from services.conversation.config import Config
from services.conversation.journal.access import Access
from services.conversation.journal.cluster import Cluster
from services.conversation.journal.server import Server
from services.conversation.journal.single import Single
from services.conversation.keys import Keys


class Servers(Protocol):
    async def call(self, shard: int, *words: Any) -> Any:
        """Runs a command where the shard is; all its keys are the shard's. Raises a RedisError.

        It may run twice, where a first attempt ended without an answer.
        """

    def listener(self) -> Server:
        """One that hears what is published on any; another after each call, where there are several."""


@asynccontextmanager
async def open_servers(config: Config, keys: Keys) -> AsyncIterator[Servers]:
    """Nothing connects before the first call. Raises RefusedError where the settings make no sense."""
    access = Access(config)
    servers = Cluster(access, keys.slots) if config.redis_cluster else Single(access)
    try:
        yield servers
    finally:
        await servers.close()
