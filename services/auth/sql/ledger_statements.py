"""What the ledger says to the database. Values: `of(owner)`, in_period, with_id, live_since, and those of each."""

from sqlalchemy import Label, and_, bindparam, func, literal, or_, select, update

from services.auth.records import ReservationState
from services.auth.sql.backend import Insert
from services.auth.sql.owned import open_account, owned
from services.auth.sql.tables import accounts, periods, reservations


def take_turn(insert: Insert) -> Insert:
    """Takes the row of the account's period, which it writes if there is none; no row where the account is closed."""
    first = open_account(accounts.c.tenant_id, accounts.c.account_id, bindparam("in_period"), literal(0))
    names = [column.name for column in periods.columns]
    taken = {"used_tokens": periods.c.used_tokens}
    return insert.from_select(names, first).on_conflict_do_update(index_elements=list(periods.primary_key), set_=taken)


def write(insert: Insert) -> Insert:
    """Writes a reservation, also over one of the same owner that holds nothing any more."""
    old, new = reservations.c, insert.excluded
    given_up = or_(
        old.state == ReservationState.RELEASED,
        and_(old.state == ReservationState.OPEN, old.start_time < bindparam("live_since")),
    )
    same_owner = and_(old.tenant_id == new.tenant_id, old.account_id == new.account_id)
    values = {column.name: new[column.name] for column in reservations.columns}
    return insert.on_conflict_do_update(
        index_elements=[old.reservation_id], set_=values, where=and_(same_owner, given_up)
    )


_in_period = and_(owned(periods), periods.c.period == bindparam("in_period"))
_with_id = reservations.c.reservation_id == bindparam("with_id")


def _reserved() -> Label[int]:
    held = reservations.alias()
    counts = and_(
        owned(held),
        held.c.period == bindparam("in_period"),
        held.c.state == ReservationState.OPEN,
        held.c.start_time >= bindparam("live_since"),
    )
    return select(func.sum(held.c.tokens)).where(counts).scalar_subquery().label("reserved")


BALANCE = select(select(periods.c.used_tokens).where(_in_period).scalar_subquery().label("used"), _reserved())
LOOK = (
    select(periods.c.used_tokens.label("used"), _reserved(), *reservations.columns)
    .select_from(periods.outerjoin(reservations, _with_id))
    .where(_in_period)
)
"""The balance of a period whose row was taken, and whatever reservation has the id."""
GET = select(reservations).where(_with_id)
TAKE_TURN_OF = (
    select(periods.c.period)
    .join(reservations, and_(owned(reservations), _with_id, reservations.c.period == periods.c.period))
    .where(owned(periods))
    .with_for_update(of=periods)
)
"""Takes the row of the period that a reservation is in."""
SETTLE = (
    update(reservations)
    .where(owned(reservations), _with_id, reservations.c.state != ReservationState.SETTLED)
    .values(
        state=ReservationState.SETTLED,
        prompt_tokens=bindparam("prompt"),
        completion_tokens=bindparam("completion"),
        close_time=bindparam("now"),
    )
    .returning(reservations.c.period)
)
COUNT = update(periods).where(_in_period).values(used_tokens=periods.c.used_tokens + bindparam("used"))
RELEASE = (
    update(reservations)
    .where(owned(reservations), _with_id, reservations.c.state == ReservationState.OPEN)
    .values(state=ReservationState.RELEASED, close_time=bindparam("now"))
)
