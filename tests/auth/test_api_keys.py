"""API keys, through the door."""

import asyncio
import time
from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from services.auth.api_keys import ApiKeys
from services.auth.clock import utc_now
from services.auth.store import Store
from services.chassis.errors import Reason
from services.chassis.ids import new_id
from tests.auth.contract_accounts import registered
from tests.auth.served import Auth, Client, SetClock, new_config, refusal, served


async def test_a_key_is_shown_once_and_works(auth: Auth, ann: Client) -> None:
    created = await ann.create_key(display_name="laptop 💻")
    assert created.secret.startswith(created.api_key.secret_prefix)
    assert created.secret.startswith("pk_")
    assert len(created.secret) == 46
    assert (created.api_key.display_name, created.api_key.HasField("expire_time")) == ("laptop 💻", False)
    by_key = auth.client("edge", created.secret)
    assert await by_key.get_account() == await ann.get_account()
    listed = (await ann.list_keys()).api_keys
    assert listed[0] == created.api_key
    assert created.secret not in str(listed)


async def test_keys_are_listed_in_pages_newest_first(ann: Client, bob: Client) -> None:
    created = [(await ann.create_key(display_name=str(n))).api_key for n in range(5)]
    first = await ann.list_keys(2)
    assert list(first.api_keys) == created[:2:-1]
    await ann.create_key()
    second = await ann.list_keys(2, first.next_page_token)
    assert list(second.api_keys) == created[2:0:-1]
    third = await ann.list_keys(2, second.next_page_token)
    assert third.api_keys[0] == created[0]
    assert not third.next_page_token
    assert (await refusal(bob.list_keys(2, first.next_page_token))).reason is Reason.INVALID_PAGE_TOKEN
    for size in (-1, 101):
        assert list((await refusal(ann.list_keys(size))).fields) == ["page_size"]


async def test_a_revoked_key_works_no_more(auth: Auth, ann: Client, bob: Client) -> None:
    created = await ann.create_key()
    by_key = auth.client("edge", created.secret)
    await by_key.get_account()
    assert (await refusal(bob.revoke_key(created.api_key.api_key_id))).reason is Reason.NOT_FOUND
    await by_key.get_account()
    for _ in range(2):
        await ann.revoke_key(created.api_key.api_key_id)
    assert (await refusal(by_key.get_account())).reason is Reason.UNAUTHENTICATED
    assert created.api_key not in (await ann.list_keys()).api_keys
    assert (await refusal(ann.revoke_key(new_id()))).reason is Reason.NOT_FOUND
    assert list((await refusal(ann.revoke_key("x"))).fields) == ["api_key_id"]


async def test_a_key_stops_when_it_expires(store: Store) -> None:
    clock = SetClock(utc_now())
    keys, owner = ApiKeys(store.api_keys, clock, limit=9), await registered(store)
    key, secret = await keys.create(owner, "k", clock.now + timedelta(seconds=1))
    _, endless = await keys.create(owner, "k", None)
    assert await keys.owner_of(secret) == owner
    clock.now += timedelta(seconds=1)
    assert (await refusal(keys.owner_of(secret))).reason is Reason.UNAUTHENTICATED
    assert await keys.owner_of(endless) == owner
    assert key in await keys.list(owner, before=None, limit=9)


async def test_an_expire_time_is_shown(ann: Client) -> None:
    expire = Timestamp(seconds=int(time.time()) + 60, nanos=123_456_000)
    created = await ann.create_key(expire_time=expire)
    assert created.api_key.expire_time == expire
    assert (await ann.list_keys()).api_keys[0].expire_time == expire


async def test_bad_keys_are_refused(ann: Client) -> None:
    times = [Timestamp(), Timestamp(seconds=int(time.time()) - 1), Timestamp(seconds=2**62), Timestamp(nanos=-5)]
    for expire in times:
        assert list((await refusal(ann.create_key(expire_time=expire))).fields) == ["expire_time"]
    for name in ("", "x" * 101, "\0"):
        assert list((await refusal(ann.create_key(display_name=name))).fields) == ["display_name"]
    assert len((await ann.list_keys()).api_keys) == 1


async def test_only_the_operator_creates_keys_for_others(
    auth: Auth, operator: Client, ann: Client, bob: Client
) -> None:
    other = (await bob.get_account()).account_id
    assert (await refusal(ann.create_key(other))).reason is Reason.PERMISSION_DENIED
    admin = await operator.create_account(roles=["admin"])
    root = auth.client("edge", (await operator.create_key(admin.account_id)).secret)
    assert (await refusal(root.create_key(other))).reason is Reason.PERMISSION_DENIED
    assert (await refusal(auth.client("edge").create_key(other))).reason is Reason.PERMISSION_DENIED
    assert await ann.create_key((await ann.get_account()).account_id)
    by_key = auth.client("edge", (await operator.create_key(other)).secret)
    assert (await by_key.get_account()).account_id == other
    assert (await refusal(operator.create_key(new_id()))).reason is Reason.NOT_FOUND
    assert (await refusal(operator.create_key())).reason is Reason.PERMISSION_DENIED


async def test_an_account_has_so_many_keys_and_no_more(store_url: str) -> None:
    async with served(new_config(store_url, api_keys_per_account=3)) as auth:
        operator = auth.client("operator")
        account = await operator.create_account()
        keys = [operator.create_key(account.account_id) for _ in range(8)]
        results = await asyncio.gather(*keys, return_exceptions=True)
        refused = [error for error in results if isinstance(error, Exception)]
        assert len(refused) == 5
        assert {getattr(error, "reason", None) for error in refused} == {Reason.LIMIT_EXCEEDED}
        assert getattr(refused[0], "metadata", None) == {"limit": "3"}
