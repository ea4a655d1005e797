"""Replicas behind a name: one for each of its addresses."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence

from services.chassis.telemetry import log

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0
"""How often a name is resolved. A replica that came is found within it; one that went is noticed by its stream."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a name and a port to IP addresses. Raises OSError, or UnicodeError for what is no name."""


async def resolve(name: str, port: int) -> Sequence[str]:
    """Has the system resolve the name, which has deadlines of its own.

    IPv6 addresses only where there are no others: a replica that has both would count twice.
    """
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    by_family = {family: [str(at[0]) for kind, *_, at in found if kind == family] for family, *_ in found}
    return by_family.get(socket.AF_INET) or by_family.get(socket.AF_INET6) or []


class Resolved:
    """The addresses of a name, resolved again and again. While that fails, or finds none, the last ones stay."""

    def __init__(self, name: str, port: int, resolve: Resolve = resolve, again_seconds: float = AGAIN_SECONDS) -> None:
        self._name, self._port, self._resolve, self._again_seconds = name, port, resolve, again_seconds

    async def follow(self, tell: Callable[[frozenset[str]], None]) -> None:
        known: frozenset[str] = frozenset()
        failing = False
        while True:
            try:
                found = frozenset(at(address, self._port) for address in await self._resolve(self._name, self._port))
            except (OSError, UnicodeError) as error:
                if not failing:
                    log(logger, logging.WARNING, "name not resolved", name=self._name, why=type(error).__name__)
                failing, found = True, known
            else:
                failing = False
            if found and found != known:
                known = found
                tell(known)
            await asyncio.sleep(self._again_seconds)


def at(address: str, port: int) -> str:
    """As gRPC writes it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
