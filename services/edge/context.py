"""What the resolvers of one operation work with."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message

from services.chassis.channel import DEFAULT_TIMEOUT, Peer, UnaryMethod
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller, acting_for
from services.edge.config import Config
from services.edge.health import Health
from services.edge.mesh import Mesh
from services.edge.metrics import Metrics
from services.edge.seats import Seats
from services.edge.session import Credential, SessionCookie, Sessions, unauthenticated
from services.edge.watches import Watches

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


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
    _calls: int = 0
    _bytes: int = 0
    _turn: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._turn = asyncio.Semaphore(self.house.config.max_calls_at_once)

    def begin_event(self) -> None:
        """What an operation may ask for, each event of a subscription may."""
        self._calls = self._bytes = 0

    @property
    def mesh(self) -> Mesh:
        return self.house.mesh

    def require_caller(self) -> Caller:
        if self.caller is None:
            raise unauthenticated()
        return self.caller

    async def caller_of_now(self) -> Caller:
        """Proved by a token that still lives: a subscription outlives several."""
        if self.caller is None or self.credential is None:
            raise unauthenticated()
        return await self.house.sessions.caller(self.credential)

    async def call(
        self,
        peer: Peer,
        method: UnaryMethod[Request, Response],
        request: Request,
        *,
        as_service: bool = False,
        seconds: float = DEFAULT_TIMEOUT,
    ) -> Response:
        """A call to another service, for the caller or for the edge itself. Raises DomainError."""
        config = self.house.config
        self._calls += 1
        if self._calls > config.max_calls_per_operation:
            raise _too_much(f"{config.max_calls_per_operation} calls")
        async with self._turn:
            if self._bytes > config.max_bytes_per_operation:
                raise _too_much(f"{config.max_bytes_per_operation} bytes")
            with nullcontext() if as_service else acting_for(await self.caller_of_now()):
                response = await peer.call(method, request, as_service=as_service, seconds=seconds)
            self._bytes += response.ByteSize()
        return response


def _too_much(limit: str) -> DomainError:
    return DomainError(Reason.LIMIT_EXCEEDED, f"The operation needs more than {limit}. Ask for less at once.")
