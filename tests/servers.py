"""Real servers under test: where they are, and how they are stopped, killed and started again.

Their addresses come from the environment, under the names that `docs/operating.md` gives. A test that needs a server
whose address is not set is left out and named at the end of the run; REQUIRE_STORES=cassandra,mongodb,postgres,redis
makes each missing one a failure. Tests that kill a server call STORES_KILL and STORES_START, two commands that take its
name; for a node of a cluster of Cassandra they are CLUSTER_KILL and CLUSTER_START.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import pytest

_ADDRESSES = {
    "cassandra": "CASSANDRA_CONTACT_POINTS",
    "mongodb": "MONGODB_URL",
    "postgres": "POSTGRES_URL",
    "redis": "REDIS_URL",
    "redis-cluster": "REDIS_CLUSTER_URL",
    "cassandra-cluster": "CASSANDRA_CLUSTER_CONTACT_POINTS",
}
_PROGRAMS = {
    "cassandra": "cassandra1",
    "cassandra-cluster": "cassandra2",
    "mongodb": "mongo",
    "postgres": "postgres",
    "redis": "redis",
}
"""What the commands call each server, and of a cluster the node that is killed."""

left_out: set[str] = set()
"""Servers that tests of this run were left out for."""


@dataclass(frozen=True, slots=True)
class Server:
    """A real server that listens on this machine."""

    name: str
    host: str
    port: int
    url: str
    """As the environment has it; of Cassandra `cassandra://host:port?datacenter=…`, without a keyspace."""

    def url_through(self, port: int) -> str:
        """The same with another port of this machine."""
        return self.url.replace(f"{self.host}:{self.port}", f"127.0.0.1:{port}")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The server hangs (SIGSTOP) inside this block."""
        processes = _listeners(self.port)
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL."""
        await self._run("KILL")

    async def start(self) -> None:
        """Starts it again, with its data; returns when it answers."""
        await self._run("START")

    async def _run(self, verb: str) -> None:
        program = _PROGRAMS[self.name]
        variable = f"{'CLUSTER' if self.name.endswith('-cluster') else 'STORES'}_{verb}"
        command = os.environ.get(variable)
        if not command:
            if os.environ.get("REQUIRE_STORES"):
                pytest.fail(f"REQUIRE_STORES is set, and {variable} is not")
            left_out.add(f"restarts of {program}")
            pytest.skip(f"{variable} is not set")
        process = await asyncio.create_subprocess_exec(*command.split(), program)
        assert await process.wait() == 0


def server(name: str) -> Server:
    """A server; leaves the test out if its address is not set, or fails it if the run requires that server."""
    if address := os.environ.get(_ADDRESSES[name]):
        return _server(name, address)
    if name.partition("-")[0] in os.environ.get("REQUIRE_STORES", "").split(","):
        pytest.fail(f"REQUIRE_STORES names {name}, and {_ADDRESSES[name]} is not set")
    left_out.add(name)
    pytest.skip(f"{_ADDRESSES[name]} is not set")


def _server(name: str, address: str) -> Server:
    if name.startswith("cassandra"):
        variable = "CASSANDRA_CLUSTER_PORT" if name == "cassandra-cluster" else "CASSANDRA_PORT"
        port = int(os.environ.get(variable, "9042"))
        hosts = address.split(",")
        url = f"cassandra://{','.join(f'{host}:{port}' for host in hosts)}"
        return Server(name, hosts[0], port, f"{url}?datacenter={os.environ.get('CASSANDRA_LOCAL_DC', 'datacenter1')}")
    parts = urlsplit(address)
    assert parts.hostname
    assert parts.port
    return Server(name, parts.hostname, parts.port, address)


def _listeners(port: int) -> list[psutil.Process]:
    """The processes that listen on a port of this machine, with their children."""
    listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    found = {each.pid for each in listening if each.laddr and each.laddr.port == port}
    processes = [psutil.Process(pid) for pid in found if pid]
    assert processes, f"nobody listens on {port}, or this user may not see who"
    return [*processes, *(child for process in processes for child in process.children(recursive=True))]
