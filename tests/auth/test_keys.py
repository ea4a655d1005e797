"""Signing keys: published, used, retired, and the same on every replica."""

import asyncio
import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from joserfc.jws import extract_compact

from services.auth.clock import utc_now
from services.auth.keys import KeyRing, KeyTimes, SigningSecretError
from services.auth.store import Store
from services.auth.tokens import Mint
from services.chassis.identity import verify_inner
from services.chassis.process import RefusedError
from tests.auth.served import SetClock

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
TIMES = KeyTimes(period=30 * DAY, publish=HOUR, keep=15 * MINUTE)
SECRET = "a signing secret of these tests alone"


def ring(store: Store, clock: SetClock, secret: str = SECRET) -> KeyRing:
    return KeyRing(store.signing_keys, secret, TIMES, clock)


async def published(keys: KeyRing) -> list[str]:
    return [key.key_id for key in await keys.published()]


async def test_replicas_that_start_at_once_share_the_first_key(store: Store) -> None:
    clock = SetClock(utc_now())
    rings = [ring(store, clock) for _ in range(5)]
    signing = await asyncio.gather(*(each.current() for each in rings))
    assert len({key_id for key_id, _ in signing}) == 1
    assert len(await store.signing_keys.all()) == 1


async def test_a_replica_whose_clock_is_late_signs_all_the_same(store: Store) -> None:
    clock = SetClock(utc_now())
    key_id, _ = await ring(store, clock).current()
    assert (await ring(store, SetClock(clock.now - MINUTE)).current())[0] == key_id


async def test_a_key_is_published_then_signs_then_stays_while_its_tokens_live(store: Store) -> None:
    start = utc_now()
    clock = SetClock(start)
    keys = ring(store, clock)
    first, _ = await keys.current()
    clock.now = start + 30 * DAY - HOUR - MINUTE
    assert await published(keys) == [first]
    clock.now = start + 30 * DAY - HOUR
    assert (await keys.current())[0] == first
    _, second = await published(keys)
    clock.now = start + 30 * DAY - MINUTE
    assert (await keys.current())[0] == first
    clock.now = start + 30 * DAY
    assert (await keys.current())[0] == second
    clock.now = start + 30 * DAY + 14 * MINUTE
    assert await published(keys) == [first, second]
    assert await keys.key(first)
    clock.now = start + 30 * DAY + 15 * MINUTE
    assert await published(keys) == [second]
    assert await keys.key(first) is None
    assert [key.key_id for key in await store.signing_keys.all()] == [second]


async def test_of_replicas_that_rotate_at_once_one_wins(store: Store) -> None:
    clock = SetClock(utc_now())
    rings = [ring(store, clock) for _ in range(5)]
    await asyncio.gather(*(each.current() for each in rings))
    for _ in range(3):
        clock.now += 30 * DAY
        lists = await asyncio.gather(*(published(each) for each in rings))
        assert all(each == lists[0] for each in lists)
    generations = [key.generation for key in await store.signing_keys.all()]
    assert generations == sorted(set(generations))


async def test_after_a_long_rest_a_key_is_still_published_before_it_signs(store: Store) -> None:
    clock = SetClock(utc_now())
    first, _ = await ring(store, clock).current()
    clock.now += 400 * DAY
    keys = ring(store, clock)
    assert (await keys.current())[0] == first
    second = (await published(keys))[1]
    clock.now += HOUR
    assert (await keys.current())[0] == second


async def test_another_replica_knows_a_key_as_soon_as_it_is_used(store: Store) -> None:
    clock = SetClock(utc_now())
    one, other = ring(store, clock), ring(store, clock)
    assert await other.key("unknown") is None
    await one.current()
    clock.now += 30 * DAY
    key_id = (await published(one))[-1]
    assert await other.key(key_id)


async def test_private_keys_are_stored_sealed(store: Store) -> None:
    clock = SetClock(utc_now())
    _, key = await ring(store, clock).current()
    (stored,) = await store.signing_keys.all()
    private = str(key.as_dict(private=True)["d"])
    assert private not in stored.sealed_private_key
    assert private not in base64.urlsafe_b64decode(stored.sealed_private_key.split(".")[3] + "==").decode("latin-1")
    with pytest.raises(SigningSecretError):
        await ring(store, clock, secret=SECRET + "!").current()


async def test_who_cannot_open_the_keys_adds_none_that_nobody_else_can_open(store: Store) -> None:
    clock = SetClock(utc_now())
    await ring(store, clock).current()
    clock.now += 30 * DAY
    stranger = ring(store, clock, secret=SECRET + "!")
    for _ in range(2):
        with pytest.raises(RefusedError, match="PARLEY_SIGNING_SECRET"):
            await stranger.check()
    assert len(await store.signing_keys.all()) == 1
    await ring(store, clock).check()


async def test_a_row_in_anothers_place_is_refused(store: Store) -> None:
    clock = SetClock(utc_now())
    await ring(store, clock).current()
    (stored,) = await store.signing_keys.all()
    await store.signing_keys.add(replace(stored, generation=2, key_id="other"))
    with pytest.raises(SigningSecretError):
        await ring(store, clock).current()


async def test_tokens_of_a_retiring_key_are_good(store: Store) -> None:
    clock = SetClock(utc_now() - 30 * DAY)
    keys = ring(store, clock)
    await keys.current()
    clock.now += 30 * DAY - HOUR
    await keys.current()
    clock.now += HOUR - MINUTE / 6
    mint = Mint(keys, clock, access=MINUTE, inner=MINUTE)
    before = await mint.inner_token("edge", "history", None)
    clock.now += MINUTE / 6
    keys = ring(store, clock)
    after = await Mint(keys, clock, access=MINUTE, inner=MINUTE).inner_token("edge", "history", None)
    for token in (before, after):
        assert (await verify_inner(token.text, "history", keys)).service == "edge"
    assert [extract_compact(token.text.encode()).headers()["kid"] for token in (before, after)] == await published(keys)
