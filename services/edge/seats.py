"""How many there may be of something that an account holds open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller
from services.edge.metrics import Metrics


class Seats:
    def __init__(self, what: str, *, per_account: int, total: int, metrics: Metrics) -> None:
        """`what`: in the words of a refusal."""
        self._what, self._per_account, self._total, self._metrics = what, per_account, total, metrics
        self._taken: Counter[tuple[str, str]] = Counter()
        self._all = 0

    @contextmanager
    def take(self, who: Caller, transport: str) -> Iterator[None]:
        """A seat while the block runs. Raises LIMIT_EXCEEDED, and UNAVAILABLE where others have them all."""
        account = (who.tenant_id, who.account_id)
        if self._taken[account] >= self._per_account:
            raise DomainError(Reason.LIMIT_EXCEEDED, f"An account may have {self._per_account} {self._what} at once.")
        if self._all >= self._total:
            raise DomainError(Reason.UNAVAILABLE, f"There are too many {self._what} just now.", retry_after=1)
        self._taken[account] += 1
        self._all += 1
        self._metrics.sockets.labels(transport).inc()
        try:
            yield
        finally:
            self._metrics.sockets.labels(transport).dec()
            self._all -= 1
            self._taken[account] -= 1
            if not self._taken[account]:
                del self._taken[account]
