"""What every ledger must do, whatever it is made of."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from services.auth.records import Balance, Owner, Reservation, ReservationState, Reserving
from services.auth.store import Store
from services.chassis.ids import new_id
from tests.auth.contract_accounts import NOW, SECOND, registered

PERIOD = "2026-11"
LIVE = NOW - timedelta(hours=1)


def reservation(owner: Owner, tokens: int = 10) -> Reservation:
    return Reservation(owner, new_id(), PERIOD, "m", tokens, start_time=NOW)


async def reserve(store: Store, wanted: Reservation, limit: int | None = None) -> Reserving:
    outcome, _ = await store.ledger.reserve(wanted, limit=limit, live_since=LIVE)
    return outcome


async def settle(store: Store, owner: Owner, reservation_id: str, prompt: int, completion: int) -> bool:
    return await store.ledger.settle(
        owner, reservation_id, prompt_tokens=prompt, completion_tokens=completion, now=NOW + SECOND
    )


async def balance(store: Store, owner: Owner, period: str = PERIOD) -> tuple[int, int]:
    found = await store.ledger.balance(owner, period, LIVE)
    return found.used_tokens, found.reserved_tokens


class LedgerStoreContract:
    """Subclasses provide the fixture `store`. Every test has owners of its own."""

    async def test_a_reservation_is_read_as_it_was_made(self, store: Store) -> None:
        wanted = reservation(await registered(store))
        answer = await store.ledger.reserve(wanted, limit=10, live_since=LIVE)
        assert answer == (Reserving.RESERVED, Balance(0, 10))
        assert await store.ledger.get(wanted.reservation_id) == wanted
        assert await store.ledger.get(new_id()) is None

    async def test_reserving_again_counts_once(self, store: Store) -> None:
        wanted = reservation(await registered(store))
        outcomes = await asyncio.gather(*(reserve(store, wanted, 10) for _ in range(6)))
        assert set(outcomes) == {Reserving.RESERVED}
        assert await reserve(store, replace(wanted, start_time=NOW + SECOND), 10) is Reserving.RESERVED
        assert await balance(store, wanted.owner) == (0, 10)
        assert await store.ledger.get(wanted.reservation_id) == wanted

    async def test_another_reservation_under_a_used_id_is_a_conflict(self, store: Store) -> None:
        wanted = reservation(await registered(store))
        await reserve(store, wanted)
        others = [
            replace(wanted, tokens=11),
            replace(wanted, model="n"),
            replace(wanted, owner=await registered(store)),
        ]
        assert [await reserve(store, other) for other in others] == [Reserving.CONFLICT] * 3
        await settle(store, wanted.owner, wanted.reservation_id, 1, 1)
        assert [await reserve(store, other) for other in others] == [Reserving.CONFLICT] * 3
        assert await balance(store, others[2].owner) == (0, 0)

    async def test_of_many_at_once_no_more_than_the_limit_are_reserved(self, store: Store) -> None:
        owner = await registered(store)
        outcomes = await asyncio.gather(*(reserve(store, reservation(owner, 10), 35) for _ in range(20)))
        assert outcomes.count(Reserving.RESERVED) == 3
        assert outcomes.count(Reserving.EXCEEDED) == 17
        assert await balance(store, owner) == (0, 30)

    async def test_a_refused_reservation_leaves_nothing(self, store: Store) -> None:
        wanted = reservation(await registered(store))
        answer = await store.ledger.reserve(wanted, limit=9, live_since=LIVE)
        assert answer == (Reserving.EXCEEDED, Balance(0, 0))
        assert await store.ledger.get(wanted.reservation_id) is None
        assert await reserve(store, wanted, 10) is Reserving.RESERVED

    async def test_used_tokens_count_against_the_limit(self, store: Store) -> None:
        wanted = reservation(await registered(store), 10)
        await reserve(store, wanted, 20)
        assert await settle(store, wanted.owner, wanted.reservation_id, 4, 9)
        assert await reserve(store, reservation(wanted.owner, 8), 20) is Reserving.EXCEEDED
        assert await reserve(store, reservation(wanted.owner, 7), 20) is Reserving.RESERVED
        assert await balance(store, wanted.owner) == (13, 7)

    async def test_the_first_settlement_stays(self, store: Store) -> None:
        wanted = reservation(await registered(store))
        await reserve(store, wanted)
        settled = await asyncio.gather(
            *(settle(store, wanted.owner, wanted.reservation_id, 1, tokens) for tokens in (2, 2, 2))
        )
        assert settled == [True] * 3
        assert await settle(store, wanted.owner, wanted.reservation_id, 50, 50)
        await store.ledger.release(wanted.owner, wanted.reservation_id, NOW)
        assert await balance(store, wanted.owner) == (3, 0)
        assert await store.ledger.get(wanted.reservation_id) == replace(
            wanted,
            state=ReservationState.SETTLED,
            prompt_tokens=1,
            completion_tokens=2,
            close_time=NOW + SECOND,
        )
        assert await reserve(store, wanted) is Reserving.RESERVED
        assert await balance(store, wanted.owner) == (3, 0)

    async def test_settling_what_is_not_ones_own_finds_nothing(self, store: Store) -> None:
        wanted = reservation(await registered(store))
        await reserve(store, wanted)
        assert not await settle(store, await registered(store), wanted.reservation_id, 1, 1)
        assert not await settle(store, wanted.owner, new_id(), 1, 1)
        await store.ledger.release(await registered(store), wanted.reservation_id, NOW)
        assert await store.ledger.get(wanted.reservation_id) == wanted

    async def test_a_released_reservation_counts_no_more_and_can_be_made_anew(self, store: Store) -> None:
        wanted = reservation(await registered(store))
        await reserve(store, wanted, 10)
        await store.ledger.release(wanted.owner, wanted.reservation_id, NOW)
        await store.ledger.release(wanted.owner, wanted.reservation_id, NOW + SECOND)
        await store.ledger.release(wanted.owner, new_id(), NOW)
        released = replace(wanted, state=ReservationState.RELEASED, close_time=NOW)
        assert await store.ledger.get(wanted.reservation_id) == released
        assert await balance(store, wanted.owner) == (0, 0)
        assert await reserve(store, replace(wanted, owner=await registered(store))) is Reserving.CONFLICT
        again = replace(wanted, tokens=9, model="n", period="2026-12", start_time=NOW + SECOND)
        assert await reserve(store, again, 10) is Reserving.RESERVED
        assert await store.ledger.get(wanted.reservation_id) == again
        assert await balance(store, wanted.owner, "2026-12") == (0, 9)

    async def test_what_was_used_counts_after_a_release_too(self, store: Store) -> None:
        wanted = reservation(await registered(store))
        await reserve(store, wanted)
        await store.ledger.release(wanted.owner, wanted.reservation_id, NOW)
        assert await settle(store, wanted.owner, wanted.reservation_id, 1, 2)
        assert await balance(store, wanted.owner) == (3, 0)

    async def test_an_old_open_reservation_counts_no_more_but_can_be_settled(self, store: Store) -> None:
        old = replace(reservation(await registered(store)), start_time=LIVE - SECOND)
        await reserve(store, old, 10)
        assert await balance(store, old.owner) == (0, 0)
        assert await reserve(store, reservation(old.owner), 10) is Reserving.RESERVED
        assert await settle(store, old.owner, old.reservation_id, 1, 2)
        assert await balance(store, old.owner) == (3, 10)

    async def test_periods_are_apart_and_a_settlement_goes_to_the_reservations(self, store: Store) -> None:
        november = reservation(await registered(store))
        december = replace(reservation(november.owner), period="2026-12")
        await reserve(store, november, 10)
        assert await reserve(store, december, 10) is Reserving.RESERVED
        assert await settle(store, november.owner, november.reservation_id, 3, 4)
        assert await balance(store, november.owner) == (7, 0)
        assert await balance(store, november.owner, "2026-12") == (0, 10)

    async def test_large_counts_are_kept(self, store: Store) -> None:
        owner = await registered(store)
        for _ in range(3):
            wanted = reservation(owner, 2**31 - 1)
            await reserve(store, wanted, 2**62)
            await settle(store, owner, wanted.reservation_id, 2**31 - 1, 2**31 - 1)
        assert await balance(store, owner) == (6 * (2**31 - 1), 0)
