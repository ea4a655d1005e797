"""Ports of this machine: free ones for the services, and whether the edge can have its own."""

import errno
import random
import socket
from contextlib import ExitStack

from services.launcher.refusal import RefusalError

LOOPBACK = "127.0.0.1"
_RANGE = range(20_000, 32_000)
"""Below those that systems give to outgoing connections, so that a service that is started again finds its own free."""


def free_ports(count: int) -> list[int]:
    """Different loopback ports that nobody listens on."""
    ports: list[int] = []
    with ExitStack() as held:
        # Each start tries its own order, so that two meshes at once rarely meet.
        for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
            if len(ports) == count:
                break
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            ports.append(port)
    if len(ports) < count:
        raise RefusalError(f"This machine has no {count} free ports from {_RANGE.start} to {_RANGE.stop}.")
    return ports


def require_free(host: str, port: int) -> None:
    """Raises RefusalError unless the edge can listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do it: connections that have just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise RefusalError(f"Port {port} is taken. Name another: PARLEY_PORT={port % 65535 + 1}") from None
        raise RefusalError(f"The edge cannot listen on {host}:{port}: {error.strerror}.") from None
