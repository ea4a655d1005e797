"""Whatever is asked at once, the limit holds and the books balance."""

import asyncio
from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.auth.clock import utc_now
from services.auth.ledger import Ledger
from services.auth.records import Owner, Reservation, ReservationState
from services.auth.store import Store
from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from tests.auth.contract_accounts import SECOND, registered

LIMIT = 100
IDS = 6

reserve = st.tuples(st.just("reserve"), st.integers(0, IDS - 1), st.integers(1, 60))
settle = st.tuples(st.just("settle"), st.integers(0, IDS - 1), st.integers(0, 60))
release = st.tuples(st.just("release"), st.integers(0, IDS - 1), st.just(0))
rounds = st.lists(st.lists(st.one_of(reserve, settle, release), min_size=1, max_size=6), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=rounds)
async def test_the_limit_holds_and_the_books_balance(store: Store, rounds: list[list[tuple[str, int, int]]]) -> None:
    ledger = Ledger(store.ledger, utc_now, limit=LIMIT, lapse=3600 * SECOND)
    owner, ids = await registered(store), [new_id() for _ in range(IDS)]
    for operations in rounds:
        await asyncio.gather(*(run(ledger, owner, ids[n], name, tokens) for name, n, tokens in operations))
        stored = [found for id_ in ids if (found := await store.ledger.get(id_))]
        used = sum(each.prompt_tokens + each.completion_tokens for each in stored if is_in(each, "settled"))
        reserved = sum(each.tokens for each in stored if is_in(each, "open"))
        usage = await ledger.usage(owner)
        assert (usage.balance.used_tokens, usage.balance.reserved_tokens) == (used, reserved)
        assert reserved <= LIMIT


def is_in(reservation: Reservation, state: str) -> bool:
    return reservation.state is ReservationState(state)


async def run(ledger: Ledger, owner: Owner, reservation_id: str, name: str, tokens: int) -> None:
    with suppress(DomainError):  # refused, taken or unknown, as it comes
        match name:
            case "reserve":
                await ledger.reserve(owner, reservation_id, "m", tokens)
            case "settle":
                await ledger.settle(owner, reservation_id, tokens // 2, tokens - tokens // 2)
            case _:
                await ledger.release(owner, reservation_id)
