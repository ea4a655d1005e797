"""The ledger of tokens."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from services.auth.records import Balance, Owner, Reservation, ReservationState, Reserving
from services.auth.sql import ledger_statements as say
from services.auth.sql.database import Database
from services.auth.sql.owned import of
from services.auth.sql.tables import periods, reservations


class SqlLedger:
    """A `LedgerStore`.

    Whoever changes what a period counts takes its row first, and a reservation's after it: so writers of one account
    wait for each other, and no two of them for one another.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._take_turn = say.take_turn(database.insert(periods))
        self._write = say.write(database.insert(reservations))

    async def reserve(
        self, wanted: Reservation, *, limit: int | None, live_since: datetime
    ) -> tuple[Reserving, Balance]:
        owner, since = wanted.owner, {"live_since": live_since}
        values = of(owner) | since | {"in_period": wanted.period, "with_id": wanted.reservation_id}
        row = _row(wanted) | since

        def look_and_write(connection: Connection) -> tuple[Reserving, Balance]:
            if connection.execute(self._take_turn, values).rowcount == 0:
                return Reserving.CLOSED, Balance(0, 0)
            found = connection.execute(say.LOOK, values).one()
            before, stored = _balance(found), _reservation(found) if found.reservation_id else None
            if stored and _counts(stored, live_since):
                same = (stored.owner, stored.model, stored.tokens) == (owner, wanted.model, wanted.tokens)
                return (Reserving.RESERVED if same else Reserving.CONFLICT), before
            if stored and stored.owner != owner:
                return Reserving.CONFLICT, before
            if limit is not None and before.used_tokens + before.reserved_tokens + wanted.tokens > limit:
                return Reserving.EXCEEDED, before
            if connection.execute(self._write, row).rowcount == 0:
                return Reserving.CONFLICT, before
            return Reserving.RESERVED, replace(before, reserved_tokens=before.reserved_tokens + wanted.tokens)

        return await self._database.transaction(look_and_write)

    async def settle(
        self, owner: Owner, reservation_id: str, *, prompt_tokens: int, completion_tokens: int, now: datetime
    ) -> bool:
        values = of(owner) | {
            "with_id": reservation_id,
            "prompt": prompt_tokens,
            "completion": completion_tokens,
            "used": prompt_tokens + completion_tokens,
            "now": now,
        }

        def change_and_count(connection: Connection) -> bool:
            if connection.execute(say.TAKE_TURN_OF, values).one_or_none() is None:
                return False
            if period := connection.execute(say.SETTLE, values).scalar_one_or_none():
                connection.execute(say.COUNT, values | {"in_period": period})
            return True

        return await self._database.transaction(change_and_count)

    async def release(self, owner: Owner, reservation_id: str, now: datetime) -> None:
        await self._database.write(say.RELEASE, of(owner) | {"with_id": reservation_id, "now": now})

    async def get(self, reservation_id: str) -> Reservation | None:
        row = await self._database.row(say.GET, {"with_id": reservation_id})
        return _reservation(row) if row else None

    async def balance(self, owner: Owner, period: str, live_since: datetime) -> Balance:
        (row,) = await self._database.rows(say.BALANCE, of(owner) | {"in_period": period, "live_since": live_since})
        return _balance(row)


def _counts(stored: Reservation, live_since: datetime) -> bool:
    if stored.state is ReservationState.OPEN:
        return stored.start_time >= live_since
    return stored.state is ReservationState.SETTLED


def _balance(row: Row[Any]) -> Balance:
    return Balance(used_tokens=row.used or 0, reserved_tokens=int(row.reserved or 0))


def _row(reservation: Reservation) -> dict[str, object]:
    return {
        "reservation_id": reservation.reservation_id,
        "tenant_id": reservation.owner.tenant_id,
        "account_id": reservation.owner.account_id,
        "period": reservation.period,
        "model": reservation.model,
        "tokens": reservation.tokens,
        "state": reservation.state,
        "prompt_tokens": reservation.prompt_tokens,
        "completion_tokens": reservation.completion_tokens,
        "start_time": reservation.start_time,
        "close_time": reservation.close_time,
    }


def _reservation(row: Row[Any]) -> Reservation:
    return Reservation(
        owner=Owner(row.tenant_id, row.account_id),
        reservation_id=row.reservation_id,
        period=row.period,
        model=row.model,
        tokens=row.tokens,
        start_time=row.start_time,
        state=ReservationState(row.state),
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        close_time=row.close_time,
    )
