"""The inference replicas that this process is connected to, as they come and go."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial

from services.chassis.telemetry import log
from services.conversation.routing.endpoints import Endpoints
from services.conversation.routing.replica import Replica

logger = logging.getLogger(__name__)

LEAVING_SECONDS = 600.0
"""How long a replica that nobody names any more may take for what it has: the most that a server's own end may take."""
LOOK_SECONDS = 0.2
"""How often it is looked whether it has finished."""


class Fleet:
    """`run` must be running."""

    def __init__(
        self,
        sources: Sequence[Endpoints],
        connect: Callable[[str], Replica],
        leaving_seconds: float = LEAVING_SECONDS,
    ) -> None:
        """`connect` makes the replica at an address, to be entered."""
        self._sources, self._connect, self._leaving_seconds = sources, connect, leaving_seconds
        self._told: dict[int, frozenset[str]] = {}
        """By source."""
        self._named: frozenset[str] = frozenset()
        self._open: dict[str, Replica] = {}

    @property
    def replicas(self) -> list[Replica]:
        """Those that are named. The others finish what they have."""
        return [replica for address, replica in self._open.items() if address in self._named]

    async def run(self) -> None:
        """Until cancelled; then every replica is closed."""
        async with asyncio.TaskGroup() as tasks:
            for number, source in enumerate(self._sources):
                tasks.create_task(source.follow(partial(self._take, tasks, number)))

    def _take(self, tasks: asyncio.TaskGroup, number: int, addresses: frozenset[str]) -> None:
        self._told[number] = addresses
        before, self._named = self._named, frozenset().union(*self._told.values())
        came, went = self._named - before, before - self._named
        log(logger, logging.INFO, "inference replicas", count=len(self._named), came=len(came), went=len(went))
        for address in sorted(self._named - self._open.keys()):
            self._open[address] = replica = self._connect(address)
            tasks.create_task(self._keep(replica))

    async def _keep(self, replica: Replica) -> None:
        async with replica:
            try:
                await self._left(replica)
            finally:
                del self._open[replica.address]

    async def _left(self, replica: Replica) -> None:
        """Returns when the replica is not named, and has finished or had its time."""
        leaves = math.inf
        while True:
            now = time.monotonic()
            leaves = math.inf if replica.address in self._named else min(leaves, now + self._leaving_seconds)
            if leaves < math.inf and (replica.idle or now >= leaves):
                return
            await asyncio.sleep(LOOK_SECONDS)
