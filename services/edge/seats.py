"""How many sockets and streams each account has open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller
from services.edge.metrics import Metrics


class Seats:
    def __init__(self, per_account: int, metrics: Metrics) -> None:
        self._per_account, self._metrics = per_account, metrics
        self._taken: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def take(self, who: Caller, transport: str) -> Iterator[None]:
        """A seat while the block runs. Raises LIMIT_EXCEEDED."""
        account = (who.tenant_id, who.account_id)
        if self._taken[account] >= self._per_account:
            raise DomainError(
                Reason.LIMIT_EXCEEDED, f"An account may have {self._per_account} sockets and streams open at once."
            )
        self._taken[account] += 1
        self._metrics.sockets.labels(transport).inc()
        try:
            yield
        finally:
            self._metrics.sockets.labels(transport).dec()
            self._taken[account] -= 1
            if not self._taken[account]:
                del self._taken[account]
