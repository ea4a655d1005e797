"""The policies that are compared."""

import random
from collections.abc import Sequence
from typing import Protocol

from benchmarks.routing.replica import Request
from services.conversation.routing.asked import LONG_BEGINNING_TOKENS
from services.conversation.routing.policy import Policy, Standing, Turn

EXPECTED_REPLY_TOKENS = 1024
"""What a router reckons with, the most that a reply may take; how long it gets, nobody knows before."""


class Chooser(Protocol):
    """A policy as one router has it."""

    def choose(self, request: Request, standings: Sequence[Standing], counts: Sequence[int]) -> int:
        """The index of a replica. `counts` are the requests that this router has on each."""


class RoundRobin:
    def __init__(self) -> None:
        self._next = 0

    def choose(self, request: Request, standings: Sequence[Standing], counts: Sequence[int]) -> int:
        del request, counts
        self._next += 1
        return self._next % len(standings)


class LeastLoaded:
    """By requests in flight, ties at random."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def choose(self, request: Request, standings: Sequence[Standing], counts: Sequence[int]) -> int:
        del request, standings
        least = min(counts)
        return self._draw.choice([index for index, count in enumerate(counts) if count == least])


class Sticky:
    """The mesh's own."""

    def __init__(self, draw: random.Random) -> None:
        self._policy = Policy(draw)

    def choose(self, request: Request, standings: Sequence[Standing], counts: Sequence[int]) -> int:
        del counts
        conversation = request.conversation
        turn = Turn(
            key=f"{conversation.tenant}/{conversation.number}",
            prompt_tokens=request.prompt_tokens,
            tokens=request.prompt_tokens + EXPECTED_REPLY_TOKENS,
            cold=request.cold,
            beginning=str(conversation.tenant) if conversation.system_tokens >= LONG_BEGINNING_TOKENS else "",
        )
        address = self._policy.choose(turn, standings, request.asked)
        return next(index for index, standing in enumerate(standings) if standing.address == address)
