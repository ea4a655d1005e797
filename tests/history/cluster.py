"""Three nodes of Cassandra, of which a test kills one.

CASSANDRA_CLUSTER_CONTACT_POINTS and CASSANDRA_CLUSTER_PORT say where they are, CLUSTER_KILL and CLUSTER_START are the
commands that kill and start the node whose name they are given: cassandra1 is the one at the first contact point.
"""

import asyncio
from urllib.parse import urlsplit

import pytest

from services.chassis.config import child_environment
from tests.servers import server


def cluster_url(keyspace: str) -> str:
    """The URL of a keyspace with a copy on each node; leaves the test out, or fails it, where there is no cluster."""
    cluster = server("cassandra-cluster")
    hosts = child_environment({})["CASSANDRA_CLUSTER_CONTACT_POINTS"].split(",")
    port = child_environment({}).get("CASSANDRA_CLUSTER_PORT", str(cluster.port))
    parts = urlsplit(cluster.url)
    netloc = ",".join(f"{host}:{port}" for host in hosts)
    query = f"{parts.query}&replication_factor={len(hosts)}"
    return parts._replace(netloc=netloc, path=f"/{keyspace}", query=query).geturl()


async def kill(node: str) -> None:
    """SIGKILL."""
    await _run("CLUSTER_KILL", node)


async def start(node: str) -> None:
    """Returns when it answers."""
    await _run("CLUSTER_START", node)


async def _run(variable: str, node: str) -> None:
    command = child_environment({}).get(variable)
    if not command:
        pytest.skip(f"{variable} is not set")
    process = await asyncio.create_subprocess_exec(*command.split(), node)
    assert await process.wait() == 0
