"""The ledger: tokens are set aside before a reply starts, and counted once when it ends."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.auth.clock import Clock
from services.auth.records import Balance, Owner, Reservation, Reserving
from services.auth.refusals import closed
from services.auth.store import LedgerStore
from services.chassis.errors import DomainError, Reason, not_found


@dataclass(frozen=True, slots=True)
class Usage:
    """An account's tokens in the current period."""

    balance: Balance
    limit: int | None
    reset_time: datetime


class Ledger:
    def __init__(self, store: LedgerStore, clock: Clock, *, limit: int | None, lapse: timedelta) -> None:
        """`limit` tokens a month for each account. A reservation that nobody closes counts for `lapse`."""
        self._store, self._clock = store, clock
        self._limit, self._lapse = limit, lapse

    async def reserve(self, owner: Owner, reservation_id: str, model: str, tokens: int) -> Usage:
        """Raises RESERVATION_CONFLICT, QUOTA_EXCEEDED and ACCOUNT_CLOSED."""
        now = self._clock()
        wanted = Reservation(owner, reservation_id, period_of(now), model, tokens, start_time=now)
        outcome, balance = await self._store.reserve(wanted, limit=self._limit, live_since=now - self._lapse)
        usage = Usage(balance, self._limit, end_of_period(now))
        match outcome:
            case Reserving.CONFLICT:
                raise DomainError(
                    Reason.RESERVATION_CONFLICT,
                    "The reservation id is taken by another reservation.",
                    metadata={"reservation_id": reservation_id},
                )
            case Reserving.EXCEEDED:
                raise _exceeded(owner, usage, tokens, now)
            case Reserving.CLOSED:
                raise closed()
            case Reserving.RESERVED:
                return usage

    async def settle(self, owner: Owner, reservation_id: str, prompt_tokens: int, completion_tokens: int) -> Usage:
        """Raises NOT_FOUND."""
        found = await self._store.settle(
            owner,
            reservation_id,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            now=self._clock(),
        )
        if not found:
            raise not_found("reservation")
        return await self.usage(owner)

    async def release(self, owner: Owner, reservation_id: str) -> None:
        await self._store.release(owner, reservation_id, self._clock())

    async def usage(self, owner: Owner) -> Usage:
        now = self._clock()
        balance = await self._store.balance(owner, period_of(now), now - self._lapse)
        return Usage(balance, self._limit, end_of_period(now))

    async def owner_of(self, reservation_id: str) -> Owner:
        """Whose reply it is reserved for, open or closed. Raises UNAUTHENTICATED where nothing was ever reserved."""
        found = await self._store.get(reservation_id)
        if found is None:
            raise DomainError(Reason.UNAUTHENTICATED, "There is no such reservation.")
        return found.owner


def period_of(time: datetime) -> str:
    """The calendar month in UTC."""
    return f"{time.astimezone(UTC):%Y-%m}"


def end_of_period(time: datetime) -> datetime:
    start = time.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (start + timedelta(days=31)).replace(day=1)


def _exceeded(owner: Owner, usage: Usage, requested: int, now: datetime) -> DomainError:
    return DomainError(
        Reason.QUOTA_EXCEEDED,
        "The account's tokens of this month do not suffice.",
        metadata={
            "subject": owner.account_id,
            "limit_tokens": str(usage.limit),
            "used_tokens": str(usage.balance.used_tokens),
            "reserved_tokens": str(usage.balance.reserved_tokens),
            "requested_tokens": str(requested),
            "reset_time": usage.reset_time.isoformat().replace("+00:00", "Z"),
        },
        retry_after=(usage.reset_time - now).total_seconds(),
    )
