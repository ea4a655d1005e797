"""What the resolvers of one operation work with."""

import asyncio
from dataclasses import dataclass, field

from services.chassis.channel import DEFAULT_TIMEOUT, Peer, Request, Response, UnaryMethod
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller, acting_for
from services.edge.config import Config
from services.edge.health import Health
from services.edge.mesh import Mesh
from services.edge.metrics import Metrics
from services.edge.seats import Seats
from services.edge.session import Credential, SessionCookie, Sessions, unauthenticated
from services.edge.watches import Watches


@dataclass(frozen=True, slots=True)
class House:
    """What all operations share."""

    config: Config
    mesh: Mesh
    sessions: Sessions
    cookie: SessionCookie
    watches: Watches
    seats: Seats
    metrics: Metrics
    health: Health
    leaving: asyncio.Event
    """Set when the process shall end: streams are cut, so that their clients go elsewhere."""


@dataclass(slots=True)
class Context:
    house: House
    caller: Caller | None
    """Who is asking; None: nobody who said so."""
    credential: Credential | None = None
    """How he proved it."""
    can_set_cookies: bool = False
    set_cookies: list[str] = field(default_factory=list)
    """Set-Cookie values for the answer."""
    calls: int = 0

    @property
    def mesh(self) -> Mesh:
        return self.house.mesh

    def require_caller(self) -> Caller:
        if self.caller is None:
            raise unauthenticated()
        return self.caller

    async def call(
        self,
        peer: Peer,
        method: UnaryMethod[Request, Response],
        request: Request,
        *,
        as_service: bool = False,
        seconds: float = DEFAULT_TIMEOUT,
    ) -> Response:
        """A call to another service for the caller, or for the edge itself. Raises DomainError."""
        self._spend()
        if as_service:
            return await peer.call(method, request, as_service=True, seconds=seconds)
        with acting_for(self.require_caller()):
            return await peer.call(method, request, seconds=seconds)

    def _spend(self) -> None:
        limit = self.house.config.max_calls_per_operation
        if self.calls >= limit:
            raise DomainError(
                Reason.LIMIT_EXCEEDED, f"The operation needs more than {limit} calls. Ask for less at once."
            )
        self.calls += 1
