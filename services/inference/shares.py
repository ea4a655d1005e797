"""What each tenant was given, by which the one with the least goes next.

The virtual token counters of Y. Sheng et al., "Fairness in serving large language models", OSDI 2024. Who comes back
starts no lower than those that are in want, and where none is, no lower than anybody (as in P. Goyal et al.,
"Start-time fair queueing", SIGCOMM 1996): nothing is made up for that a tenant did not ask for.
"""

from collections.abc import Iterable

PROMPT_COST = 1
"""Of a prompt's token that is computed; found in the cache, it costs nothing."""
OUTPUT_COST = 2
"""Of a reply's token: it takes a row of a step for itself. The paper's weights."""
TENANTS = 4096
"""That are remembered; beyond, those are forgotten first to whom it makes no difference, then those given least."""


class Shares:
    def __init__(self) -> None:
        self._given: dict[str, int] = {}
        self._promised: dict[str, int] = {}
        """For prompts in the batch that are not computed yet; none is 0."""
        self._highest = 0

    def given(self, tenant: str) -> int:
        return self._given.get(tenant, 0)

    def with_promised(self, tenant: str) -> int:
        """What was given, and what will be for all that runs."""
        return self.given(tenant) + self._promised.get(tenant, 0)

    def begin(self, tenant: str, waiting: Iterable[str]) -> None:
        """A tenant waits that did not; those in `waiting` do."""
        if tenant in self._promised:
            return
        wanting = {*waiting, *self._promised}
        floor = min(map(self.given, wanting), default=self._highest)
        self._given[tenant] = max(self.given(tenant), floor)
        if len(self._given) > TENANTS:
            self._forget(wanting | {tenant}, floor)

    def promise(self, tenant: str, cost: int) -> None:
        """A prompt joined the batch; or, negative, left it before it was computed."""
        promised = self._promised.get(tenant, 0) + cost
        if promised:
            self._promised[tenant] = promised
        else:
            self._promised.pop(tenant, None)

    def keep(self, tenant: str, cost: int) -> None:
        """So much of what was promised was given."""
        self.promise(tenant, -cost)
        self.give(tenant, cost)

    def give(self, tenant: str, cost: int) -> None:
        self._given[tenant] = self.given(tenant) + cost
        self._highest = max(self._highest, self._given[tenant])

    def _forget(self, wanting: set[str], floor: int) -> None:
        ranked = sorted(
            (tenant for tenant, given in self._given.items() if tenant in wanting or given > floor),
            key=lambda tenant: (tenant in wanting, self._given[tenant]),
        )
        self._given = {tenant: self._given[tenant] for tenant in ranked[-TENANTS // 2 :]}
