"""Who may still come: an engine says no before those that wait lose their patience."""

from collections import deque
from dataclasses import dataclass, replace
from math import ceil

from services.chassis.errors import DomainError
from services.inference.engine import Load, Priority, overloaded
from services.inference.generation import Generation
from services.inference.standing import Backlog, Standing

RETRY_SECONDS = (1.0, 60.0)
"""The least and the most that a refused one is asked to wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What would exceed one is refused."""

    pending_prompt_tokens: int = 65_536
    """That wait to be computed."""
    max_expected_wait: float = 30
    """Seconds until the first token."""
    tenant_share: float = 0.75
    """The part of all that may wait that one tenant may fill."""


@dataclass(frozen=True, slots=True)
class Bounds:
    slots: int
    """Generations in the batch."""
    waiting: int
    """Generations that wait; more are refused."""
    cache_tokens: int
    """What the key-value cache holds; at least the model's context."""
    prefill_tokens: int
    """Tokens of prompts in one step."""
    limits: Limits = Limits()


class Admission:
    """Knows what an engine's scheduler knew when it last said so, and what was sent to it since."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._standing = Standing()
        self._alive: set[Generation] = set()
        self._sent: deque[Generation] = deque()
        """Those that the scheduler had not taken in then."""
        self._sent_ever = 0

    def __contains__(self, generation: Generation) -> bool:
        return generation in self._alive

    def alive(self) -> list[Generation]:
        return list(self._alive)

    def enter(self, generation: Generation) -> None:
        self._alive.add(generation)

    def send(self, generation: Generation) -> None:
        """It goes to the scheduler, which takes them in in this order."""
        self._sent.append(generation)
        self._sent_ever += 1

    def leave(self, generation: Generation) -> None:
        self._alive.discard(generation)

    def update(self, standing: Standing) -> None:
        self._standing = standing
        while len(self._sent) > self._sent_ever - standing.taken:
            self._sent.popleft()

    def load(self) -> Load:
        standing, bounds = self._now(), self._bounds
        backlog = sum(standing.backlogs.values(), Backlog())
        waiting = len(self._alive) - standing.running
        return Load(
            running=standing.running,
            waiting=waiting,
            slots=bounds.slots,
            cached_tokens=standing.cached_tokens,
            cached_tokens_limit=bounds.cache_tokens,
            pending_prompt_tokens=backlog.prompt_tokens,
            pending_prompt_tokens_limit=bounds.limits.pending_prompt_tokens,
            expected_wait=self._wait(standing, replace(backlog, generations=backlog.generations + 1)),
        )

    def require(self, tenant: str, priority: Priority, prompt_tokens: int) -> None:
        """Raises ENGINE_OVERLOADED if a generation cannot be taken now."""
        bounds, limits, standing = self._bounds, self._bounds.limits, self._now()
        if len(self._alive) >= bounds.slots + bounds.waiting:
            raise self._refusal("All places in the queue are taken.", standing)
        own = sum(each.tenant == tenant for each in self._alive)
        if own >= bounds.slots + ceil(bounds.waiting * limits.tenant_share):
            raise self._refusal("The tenant's places in the queue are taken.", standing)
        self._require_tokens(tenant, prompt_tokens, standing)
        ahead = standing.ahead(priority, tenant, prompt_tokens)
        # Its own prompt does not count, so that whoever comes alone is taken, and what was measured is measured again.
        wait = self._wait(standing, replace(ahead, prompt_tokens=ahead.prompt_tokens - prompt_tokens))
        if wait > limits.max_expected_wait:
            raise self._refusal(f"It would wait about {wait:.0f} seconds for its first token.", standing, wait)

    def _require_tokens(self, tenant: str, prompt_tokens: int, standing: Standing) -> None:
        limits = self._bounds.limits
        pending = sum(backlog.prompt_tokens for backlog in standing.backlogs.values())
        # One of any length is taken where nothing waits.
        if pending and pending + prompt_tokens > limits.pending_prompt_tokens:
            raise self._refusal("As many tokens of prompts wait as may.", standing)
        own = sum(backlog.prompt_tokens for (_, other), backlog in standing.backlogs.items() if other == tenant)
        if own and own + prompt_tokens > limits.pending_prompt_tokens * limits.tenant_share:
            raise self._refusal("As many tokens of the tenant's prompts wait as may.", standing)

    def _now(self) -> Standing:
        if not self._sent:
            return self._standing
        backlogs = dict(self._standing.backlogs)
        for each in self._sent:
            line = (each.priority, each.tenant)
            backlogs[line] = backlogs.get(line, Backlog()) + Backlog(1, each.length)
        return replace(self._standing, backlogs=backlogs)

    def _wait(self, standing: Standing, ahead: Backlog) -> float:
        free = self._bounds.slots - standing.running
        return standing.rates.wait(ahead.prompt_tokens, max(0, ahead.generations - free))

    def _refusal(self, message: str, standing: Standing, wait: float = 0) -> DomainError:
        """Whoever comes again when the wait has become short enough, or a place free, is taken."""
        seconds = max(wait - self._bounds.limits.max_expected_wait, standing.rates.turn_seconds)
        least, most = RETRY_SECONDS
        return overloaded(message, retry_after=min(max(seconds, least), most))
