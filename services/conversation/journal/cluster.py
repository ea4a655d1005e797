"""The nodes of a Redis Cluster: a shard is one slot, so all there is to know is one address for each shard.

redis-py's own cluster client has one map of all slots, and everybody waits while it draws a new one; a node that hangs
or a slot that moves then stalls the shards that have nothing to do with it.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.chassis.telemetry import log
from services.conversation.journal.access import Access, Address
from services.conversation.journal.failures import NoClusterError
from services.conversation.journal.server import Server

logger = logging.getLogger(__name__)

HOPS = 8
"""How often a call may be sent elsewhere, or asked to try again, before it is given up."""
TRY_AGAIN_SECONDS = 0.05
"""Between attempts while some keys of a call have moved to another node and some have not."""
LOOK_SECONDS = 1.0
"""How long one node may take to say where the shards are."""
LOST = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, ClusterDownError)
"""The node may not have the shard any more."""


class Cluster:
    def __init__(self, access: Access, slots: Sequence[int]) -> None:
        self._access, self._slots = access, slots
        self._nodes: set[Address] = set(access.seeds)
        """The seeds, and the nodes that the last look found."""
        self._servers: dict[Address, Server] = {}
        """Of those nodes, the ones that were used."""
        self._owners: dict[int, Address] = {}
        """The node that has each shard."""
        self._lost = set(range(len(slots)))
        """Shards that are looked for at the next call."""
        self._suspect: Address | None = None
        """The node that failed last: it is asked last."""
        self._heard: Address | None = None
        """The node that was listened to last."""
        self._looking = asyncio.Lock()

    async def call(self, shard: int, *words: Any) -> Any:
        failed, asking = False, None
        for _ in range(HOPS):
            node = asking or await self._owner(shard)
            server = self._server(node)
            try:
                return await (server.run_asking if asking else server.run)(*words)
            except MovedError as moved:
                asking = None
                self._own(shard, _address(moved.host, moved.port, node))
            except AskError as asked:
                asking = _address(asked.host, asked.port, node)
            except TryAgainError:
                asking = None
                await asyncio.sleep(TRY_AGAIN_SECONDS)
            except LOST as error:
                self._forget(node)
                if failed or isinstance(error, RedisTimeoutError):
                    raise
                failed, asking = True, None  # another may have taken over: once more
        raise ClusterDownError("no node settles the call")

    def listener(self) -> Server:
        [self._heard] = random.sample(sorted(self._nodes - {self._heard} or self._nodes), 1)
        return self._server(self._heard)

    async def close(self) -> None:
        for server in self._servers.values():
            await server.close()

    def _server(self, node: Address) -> Server:
        if node not in self._servers:
            self._servers[node] = self._access.server(Retry(NoBackoff(), 0), node)
        return self._servers[node]

    def _own(self, shard: int, node: Address) -> None:
        self._nodes.add(node)
        self._lost.discard(shard)
        if self._owners.get(shard) != node:
            self._owners[shard] = node
            log(logger, logging.INFO, "shard found", shard=shard, node=f"{node.host}:{node.port}")

    def _forget(self, node: Address) -> None:
        self._suspect = node
        self._lost |= {shard for shard, owner in self._owners.items() if owner == node}

    async def _owner(self, shard: int) -> Address:
        if shard in self._lost:
            async with self._looking:
                if shard in self._lost:
                    await self._look(shard)
        return self._owners[shard]

    async def _look(self, shard: int) -> None:
        """Asks one node after the other where the shards are; the first that knows this one is believed.

        It may be behind the times. Then the node that it names fails or sends on, and the next call looks again.
        """
        failure: Exception = ClusterDownError("no node has the shard")
        for node in self._askable():
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    ranges = await self._server(node).run("CLUSTER", "SLOTS")
            except (RedisConnectionError, RedisTimeoutError, TimeoutError) as error:
                failure = error
            except ResponseError as error:
                failure = NoClusterError(str(error)) if type(error) is ResponseError else error
            else:
                await self._learn(ranges, node)
                if shard not in self._lost:
                    return
        raise failure

    def _askable(self) -> list[Address]:
        nodes = random.sample(sorted(self._nodes), len(self._nodes))
        return sorted(nodes, key=lambda node: node == self._suspect)

    async def _learn(self, ranges: Sequence[Any], told_by: Address) -> None:
        """Takes the nodes and the lost shards from what CLUSTER SLOTS answers: (first, last, primary, replica…)."""
        nodes = set(self._access.seeds) | {*self._owners.values()}
        for first, last, *members in ranges:
            found = [_address(host, port, told_by) for host, port, *_ in members]
            nodes.update(found)
            for shard, slot in enumerate(self._slots):
                if shard in self._lost and first <= slot <= last:
                    self._own(shard, found[0])
        self._nodes = nodes
        for node in self._servers.keys() - nodes:
            await self._servers[node].close()
            del self._servers[node]


def _address(host: bytes | str | None, port: int, told_by: Address) -> Address:
    """A node that has not been told its own address is where the one that told of it is."""
    name = host.decode() if isinstance(host, bytes) else host
    return Address(told_by.host if name in (None, "", "?") else str(name), port)
