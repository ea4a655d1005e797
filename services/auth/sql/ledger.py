"""The ledger of tokens."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, update

from services.auth.records import Balance, Owner, Reservation, ReservationState, Reserving
from services.auth.sql.database import Database
from services.auth.sql.tables import periods, reservations


class SqlLedger:
    """A `LedgerStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(
        self, wanted: Reservation, *, limit: int | None, live_since: datetime
    ) -> tuple[Reserving, Balance]:
        owner, period = wanted.owner, wanted.period

        def look_and_write(connection: Connection) -> tuple[Reserving, Balance]:
            # Where writers run side by side, those of one account wait for each other on this row.
            self._count(connection, owner, period, 0)
            before = _balance(connection.execute(_sums(owner, period, live_since)).one())
            row = connection.execute(_of_id(wanted.reservation_id)).one_or_none()
            stored = _reservation(row) if row else None
            if stored and _counts(stored, live_since):
                same = (stored.owner, stored.model, stored.tokens) == (owner, wanted.model, wanted.tokens)
                return (Reserving.RESERVED if same else Reserving.CONFLICT), before
            if stored and stored.owner != owner:
                return Reserving.CONFLICT, before
            if limit is not None and before.used_tokens + before.reserved_tokens + wanted.tokens > limit:
                return Reserving.EXCEEDED, before
            if not self._write(connection, wanted, live_since):
                return Reserving.CONFLICT, before
            return Reserving.RESERVED, replace(before, reserved_tokens=before.reserved_tokens + wanted.tokens)

        return await self._database.transaction(look_and_write)

    async def settle(
        self, owner: Owner, reservation_id: str, *, prompt_tokens: int, completion_tokens: int, now: datetime
    ) -> bool:
        change = (
            update(reservations)
            .where(_owned(owner, reservation_id), reservations.c.state != ReservationState.SETTLED)
            .values(
                state=ReservationState.SETTLED,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                close_time=now,
            )
            .returning(reservations.c.period)
        )
        exists = select(reservations.c.reservation_id).where(_owned(owner, reservation_id))

        def change_and_count(connection: Connection) -> bool:
            period = connection.execute(change).scalar_one_or_none()
            if period is None:
                return connection.execute(exists).one_or_none() is not None
            self._count(connection, owner, period, prompt_tokens + completion_tokens)
            return True

        return await self._database.transaction(change_and_count)

    async def release(self, owner: Owner, reservation_id: str, now: datetime) -> None:
        change = (
            update(reservations)
            .where(_owned(owner, reservation_id), reservations.c.state == ReservationState.OPEN)
            .values(state=ReservationState.RELEASED, close_time=now)
        )
        await self._database.write(change)

    async def get(self, reservation_id: str) -> Reservation | None:
        row = await self._database.row(_of_id(reservation_id))
        return _reservation(row) if row else None

    async def balance(self, owner: Owner, period: str, live_since: datetime) -> Balance:
        (row,) = await self._database.rows(_sums(owner, period, live_since))
        return _balance(row)

    def _count(self, connection: Connection, owner: Owner, period: str, tokens: int) -> None:
        counted = self._database.insert(periods).values(
            tenant_id=owner.tenant_id, account_id=owner.account_id, period=period, used_tokens=tokens
        )
        connection.execute(
            counted.on_conflict_do_update(
                index_elements=list(periods.primary_key),
                set_={"used_tokens": periods.c.used_tokens + counted.excluded.used_tokens},
            )
        )

    def _write(self, connection: Connection, wanted: Reservation, live_since: datetime) -> bool:
        row = {
            "reservation_id": wanted.reservation_id,
            "tenant_id": wanted.owner.tenant_id,
            "account_id": wanted.owner.account_id,
            "period": wanted.period,
            "model": wanted.model,
            "tokens": wanted.tokens,
            "state": wanted.state,
            "prompt_tokens": wanted.prompt_tokens,
            "completion_tokens": wanted.completion_tokens,
            "start_time": wanted.start_time,
            "close_time": wanted.close_time,
        }
        given_up = or_(
            reservations.c.state == ReservationState.RELEASED,
            and_(reservations.c.state == ReservationState.OPEN, reservations.c.start_time < live_since),
        )
        written = (
            self._database.insert(reservations)
            .values(row)
            .on_conflict_do_update(
                index_elements=[reservations.c.reservation_id],
                set_=row,
                where=and_(_owned(wanted.owner, wanted.reservation_id), given_up),
            )
        )
        return connection.execute(written).rowcount == 1


def _counts(stored: Reservation, live_since: datetime) -> bool:
    if stored.state is ReservationState.OPEN:
        return stored.start_time >= live_since
    return stored.state is ReservationState.SETTLED


def _owned(owner: Owner, reservation_id: str) -> ColumnElement[bool]:
    return and_(
        reservations.c.reservation_id == reservation_id,
        reservations.c.tenant_id == owner.tenant_id,
        reservations.c.account_id == owner.account_id,
    )


def _in_period(owner: Owner, period: str) -> ColumnElement[bool]:
    return and_(
        periods.c.tenant_id == owner.tenant_id, periods.c.account_id == owner.account_id, periods.c.period == period
    )


def _of_id(reservation_id: str) -> Select[Any]:
    return select(reservations).where(reservations.c.reservation_id == reservation_id)


def _sums(owner: Owner, period: str, live_since: datetime) -> Select[Any]:
    used = select(periods.c.used_tokens).where(_in_period(owner, period))
    reserved = select(func.sum(reservations.c.tokens)).where(
        reservations.c.tenant_id == owner.tenant_id,
        reservations.c.account_id == owner.account_id,
        reservations.c.period == period,
        reservations.c.state == ReservationState.OPEN,
        reservations.c.start_time >= live_since,
    )
    return select(used.scalar_subquery().label("used"), reserved.scalar_subquery().label("reserved"))


def _balance(row: Row[Any]) -> Balance:
    return Balance(used_tokens=row.used or 0, reserved_tokens=int(row.reserved or 0))


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
