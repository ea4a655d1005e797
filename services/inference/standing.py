"""How an engine stands: what runs, what waits before whom, and how fast it goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.inference.engine import Priority
from services.inference.rates import Rates


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one tenant waits for at one priority."""

    generations: int = 0
    """That wait for a place in the batch."""
    prompt_tokens: int = 0
    """That wait to be computed, those of generations in the batch included."""

    def __add__(self, other: "Backlog") -> "Backlog":
        return Backlog(self.generations + other.generations, self.prompt_tokens + other.prompt_tokens)


Backlogs = Mapping[tuple[Priority, str], Backlog]


@dataclass(frozen=True, slots=True)
class Standing:
    taken: int = 0
    """So many generations were taken in when it was so."""
    running: int = 0
    cached_tokens: int = 0
    backlogs: Backlogs = field(default_factory=dict)
    rates: Rates = field(default_factory=Rates)

    def ahead(self, priority: Priority, tenant: str, prompt_tokens: int) -> Backlog:
        """What comes before the first token of a generation that is started now.

        Tenants take turns, so each other one gets before it at most as much as its own does, up to and with itself.
        """
        own = Backlog(1, prompt_tokens) + self.backlogs.get((priority, tenant), Backlog())
        before = own
        for (theirs, other), backlog in self.backlogs.items():
            if theirs < priority:
                before += backlog
            elif theirs == priority and other != tenant:
                generations = min(backlog.generations, own.generations)
                before += Backlog(generations, min(backlog.prompt_tokens, own.prompt_tokens))
        return before
