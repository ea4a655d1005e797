"""Which replica takes a turn: the one that has its beginning in the prefix cache, until that one has too much to do.

Plain records in, an address out, so that `benchmarks/routing` asks the same question as the router.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from services.conversation.routing.rendezvous import order
from services.conversation.routing.shares import Shares

OVER_MEAN = 1.5
SLACK_TOKENS = 64_000
"""A replica is past its bound where it has more tokens in flight than OVER_MEAN times the others' mean and these on
top: about what a large GPU runs at once while nobody waits. A replica that knows better says so by its wait."""
COLD_SLACK_TOKENS = 32_000
"""Instead, for the first turn of a conversation: it has the least to lose elsewhere."""
WAIT_SECONDS = 1.0
"""A replica is past its bound where a turn waits longer there, and WAIT_FACTOR times as long as at the quickest."""
WAIT_FACTOR = 2.0
CHOICES = 2
"""A turn that leaves its favourite takes the least loaded of so many next ones: few, so that another finds it again."""
SPREAD = 2.0
"""Those who share a beginning use that many times as many replicas as their part of the work would fill."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A replica that may be given a turn, as one router knows it."""

    address: str
    in_flight_tokens: int
    """Of this router's generations there, prompts and replies together."""
    pending_prompt_tokens: int = 0
    """Of everybody's, by the replica's own word; so are the next ones."""
    pending_prompt_tokens_limit: int = 0
    """0 where it is not known."""
    expected_wait: float = 0.0
    """Seconds to a first token."""


@dataclass(frozen=True, slots=True)
class Turn:
    key: str
    """Names the conversation. Empty for what belongs to none: it goes where the least is in flight."""
    prompt_tokens: int
    tokens: int
    """Prompt and reply together."""
    cold: bool = False
    """No turn of the conversation was generated before."""
    beginning: str = ""
    """Names what the prompt begins with, where it is long and others begin with it too."""


class Policy:
    """Sticky by rendezvous hashing with bounds.

    Bounded loads after V. Mirrokni, M. Thorup and M. Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018.
    """

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._shares = Shares()

    def choose(self, turn: Turn, standings: Sequence[Standing], now: float) -> str:
        """The address that takes the turn, of at least one; `now` is in seconds, of any clock that only rises."""
        if not turn.key:
            return self._least(standings).address
        quickest = min(standing.expected_wait for standing in standings)
        ranked = self._ranked(turn, standings, now)
        open_ = [standing for standing in ranked if not _full(standing, turn, quickest)] or ranked
        favourite, others = open_[0], open_[1 : 1 + CHOICES]
        if others and _past_bound(favourite, standings, COLD_SLACK_TOKENS if turn.cold else SLACK_TOKENS):
            favourite = self._least([favourite, *others])
        return favourite.address

    def _ranked(self, turn: Turn, standings: Sequence[Standing], now: float) -> list[Standing]:
        """The conversation's own order. Where its prompt begins as others' do, this orders only the first few of the
        beginning's own order, as many as carry the work of all of them; the next ones come after."""
        named = {standing.address: standing for standing in standings}
        share = self._shares.add(turn.beginning, turn.tokens, now)
        if turn.beginning:
            ranked = order(turn.beginning, named)
            width = math.ceil(SPREAD * share * len(named))
            ranked = order(turn.key, ranked[:width]) + ranked[width:]
        else:
            ranked = order(turn.key, named)
        return [named[address] for address in ranked]

    def _least(self, standings: Sequence[Standing]) -> Standing:
        least = min(standing.in_flight_tokens for standing in standings)
        return self._draw.choice([standing for standing in standings if standing.in_flight_tokens == least])


def _past_bound(standing: Standing, standings: Sequence[Standing], slack: int) -> bool:
    others = [other.in_flight_tokens for other in standings if other is not standing]
    return standing.in_flight_tokens > OVER_MEAN * sum(others) / len(others) + slack


def _full(standing: Standing, turn: Turn, quickest: float) -> bool:
    """By its own word: it would refuse the turn, or let it wait where another would not."""
    limit = standing.pending_prompt_tokens_limit
    if limit and standing.pending_prompt_tokens + turn.prompt_tokens > limit:
        return True
    return standing.expected_wait > max(WAIT_SECONDS, WAIT_FACTOR * quickest)
