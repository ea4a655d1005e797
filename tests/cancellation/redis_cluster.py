"""A Redis Cluster whose nodes tell everybody that they are where a proxy is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cancellation.journal import connections, open_replies
from tests.cancellation.shelf import Backend, Shelf
from tests.conversation.cluster import SLOTS, Node

NODES = 3
SHARDS = 4
"""They lie on all of the nodes."""
PAUSE = 0.05
PATIENCE = 20.0


@asynccontextmanager
async def redis_cluster(folder: Path) -> AsyncIterator[Backend]:
    nodes = [Node(folder / str(number)) for number in range(NODES)]

    @asynccontextmanager
    async def opened(*ports: int) -> AsyncIterator[Shelf]:
        await _announce(nodes, ports)
        url = f"redis://{','.join(f'127.0.0.1:{port}' for port in ports)}"
        async with open_replies(url, "cancellation", shards=SHARDS) as shelf:
            yield shelf

    try:
        for node in nodes:
            node.start()
        await _form(nodes)
        yield Backend(opened, [("127.0.0.1", node.port) for node in nodes], NODES * connections(SHARDS))
    finally:
        for node in nodes:
            node.kill()


async def _form(nodes: Sequence[Node]) -> None:
    async with asyncio.timeout(PATIENCE):
        for number, node in enumerate(nodes):
            while not await node.answers():
                await asyncio.sleep(PAUSE)
            first, end = number * SLOTS // NODES, (number + 1) * SLOTS // NODES
            await node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            await nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        for node in nodes:
            while "cluster_state:ok" not in str(await node.ask("CLUSTER", "INFO")):
                await asyncio.sleep(PAUSE)


async def _announce(nodes: Sequence[Node], ports: Sequence[int]) -> None:
    """Returns when every node knows where every other one shall be found."""
    for node, port in zip(nodes, ports, strict=True):
        await node.ask("CONFIG", "SET", "cluster-announce-port", port)
    async with asyncio.timeout(PATIENCE):
        for node in nodes:
            while {span[2][1] for span in await node.ask("CLUSTER", "SLOTS")} != set(ports):
                await asyncio.sleep(PAUSE)
