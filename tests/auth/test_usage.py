"""UsageService, through the door."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from services.auth.clock import utc_now
from services.auth.ledger import Ledger, end_of_period, period_of
from services.auth.store import Store
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from tests.auth.contract_accounts import registered
from tests.auth.served import Auth, Client, SetClock, new_config, refusal, served


async def credited(auth: Auth) -> Client:
    """The edge, for a new account."""
    account = await auth.client("operator").create_account()
    return auth.client("edge", (await auth.client("operator").create_key(account.account_id)).secret)


async def test_tokens_are_reserved_and_settled(store_url: str) -> None:
    async with served(new_config(store_url, monthly_tokens=100)) as auth:
        ann = await credited(auth)
        first, second = new_id(), new_id()
        for _ in range(2):
            usage = await ann.reserve(first, 60)
            assert (usage.used_tokens, usage.reserved_tokens, usage.limit_tokens) == (0, 60, 100)
        assert usage.reset_time.ToDatetime(UTC) == end_of_period(utc_now())
        for _ in range(2):
            usage = await ann.settle(first, prompt=20, completion=5)
            assert (usage.used_tokens, usage.reserved_tokens) == (25, 0)
        assert await ann.get_usage() == await ann.settle(first, prompt=1, completion=1) == usage
        await ann.reserve(second, 75)
        for _ in range(2):
            await ann.release(second)
        await ann.release(new_id())
        assert await ann.get_usage() == usage


async def test_too_many_tokens_are_refused_with_the_numbers(store_url: str) -> None:
    async with served(new_config(store_url, monthly_tokens=100)) as auth:
        ann = await credited(auth)
        used, open_ = new_id(), new_id()
        await ann.reserve(used, 30)
        await ann.settle(used, prompt=10, completion=10)
        await ann.reserve(open_, 50)
        error = await refusal(ann.reserve(new_id(), 31))
        assert error.reason is Reason.QUOTA_EXCEEDED
        reset = end_of_period(utc_now())
        assert error.metadata == {
            "subject": (await ann.get_account()).account_id,
            "limit_tokens": "100",
            "used_tokens": "20",
            "reserved_tokens": "50",
            "requested_tokens": "31",
            "reset_time": reset.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        assert error.retry_after is not None
        assert abs(error.retry_after - (reset - utc_now()).total_seconds()) < 60
        await ann.reserve(new_id(), 30)


async def test_without_a_limit_all_is_counted_and_nothing_refused(ann: Client) -> None:
    reservation_id = new_id()
    usage = await ann.reserve(reservation_id, 2**31 - 1)
    assert not usage.HasField("limit_tokens")
    usage = await ann.settle(reservation_id, prompt=2**31 - 1, completion=2**31 - 1)
    assert usage.used_tokens == 2**32 - 2


async def test_a_used_id_is_a_conflict(ann: Client, bob: Client) -> None:
    reservation_id = new_id()
    await ann.reserve(reservation_id, 10)
    calls = [ann.reserve(reservation_id, 11), ann.reserve(reservation_id, 10, "n"), bob.reserve(reservation_id, 10)]
    for call in calls:
        error = await refusal(call)
        assert error.reason is Reason.RESERVATION_CONFLICT
        assert error.metadata == {"reservation_id": reservation_id}
    assert (await bob.get_usage()).reserved_tokens == 0


async def test_another_accounts_reservation_is_not_there(ann: Client, bob: Client) -> None:
    reservation_id = new_id()
    await ann.reserve(reservation_id, 10)
    errors = [await refusal(bob.settle(id_)) for id_ in (reservation_id, new_id())]
    assert {str(error) for error in errors} == {"NOT_FOUND: There is no such reservation."}
    await bob.release(reservation_id)
    assert (await ann.get_usage()).reserved_tokens == 10


async def test_of_fifty_at_once_on_two_replicas_one_is_admitted(store_url: str) -> None:
    config = new_config(store_url, monthly_tokens=100)
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(served(config)) for _ in range(2)]
        account = await replicas[0].client("operator").create_account()
        key = (await replicas[0].client("operator").create_key(account.account_id)).secret
        clients = [replica.client("edge", key) for replica in replicas]
        calls = [clients[n % 2].reserve(new_id(), 60) for n in range(50)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [result for result in results if isinstance(result, DomainError)]
        assert len(refused) == 49
        assert {error.reason for error in refused} == {Reason.QUOTA_EXCEEDED}
        usage = await clients[1].get_usage()
        assert (usage.used_tokens, usage.reserved_tokens) == (0, 60)


async def test_a_cancelled_reservation_harms_no_other(auth: Auth, ann: Client) -> None:
    ids = [new_id() for _ in range(30)]
    tasks = [asyncio.create_task(ann.reserve(id_, 10)) for id_ in ids]
    for n, task in enumerate(tasks):
        if n % 3 == 0:
            await tasks[n - 1] if n else None
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    acknowledged = [id_ for id_, result in zip(ids, results, strict=True) if not isinstance(result, BaseException)]
    assert len(acknowledged) >= 20
    stored = [id_ for id_ in ids if await auth.store.ledger.get(id_)]
    assert set(stored) >= set(acknowledged)
    assert (await ann.get_usage()).reserved_tokens == 10 * len(stored)


async def test_bad_requests_are_refused(ann: Client, auth: Auth) -> None:
    for name, call in [
        ("reservation_id", ann.reserve("x")),
        ("reservation_id", ann.settle("")),
        ("reservation_id", ann.release("x")),
        ("tokens", ann.reserve(new_id(), 0)),
        ("tokens", ann.reserve(new_id(), -1)),
        ("tokens", ann.reserve(new_id(), 2**31)),
        ("model", ann.reserve(new_id(), 1, "")),
        ("model", ann.reserve(new_id(), 1, "x" * 257)),
        ("model", ann.reserve(new_id(), 1, "\0")),
        ("usage.prompt_tokens", ann.settle(new_id(), -1, 1)),
        ("usage.completion_tokens", ann.settle(new_id(), 1, -1)),
    ]:
        error = await refusal(call)
        assert (error.reason, list(error.fields)) == (Reason.INVALID_ARGUMENT, [name])
    conversation = auth.client("conversation")
    for call in (conversation.reserve(new_id()), conversation.release(new_id()), conversation.get_usage()):
        assert (await refusal(call)).reason is Reason.PERMISSION_DENIED


async def test_a_month_ends(store: Store) -> None:
    clock = SetClock(datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
    ledger = Ledger(store.ledger, clock, limit=100, lapse=timedelta(hours=24))
    owner, december = await registered(store), new_id()
    usage = await ledger.reserve(owner, december, "m", 100)
    assert usage.reset_time == datetime(2027, 1, 1, tzinfo=UTC)
    clock.now += timedelta(microseconds=1)
    usage = await ledger.reserve(owner, new_id(), "m", 90)
    assert (usage.balance.used_tokens, usage.balance.reserved_tokens) == (0, 90)
    usage = await ledger.settle(owner, december, 50, 60)
    assert (usage.balance.used_tokens, usage.balance.reserved_tokens) == (0, 90)
    clock.now -= timedelta(microseconds=1)
    assert (await ledger.usage(owner)).balance.used_tokens == 110


async def test_a_reservation_that_nobody_closed_lapses(store: Store) -> None:
    clock = SetClock(datetime(2026, 11, 10, tzinfo=UTC))
    ledger = Ledger(store.ledger, clock, limit=100, lapse=timedelta(hours=24))
    owner, first = await registered(store), new_id()
    await ledger.reserve(owner, first, "m", 100)
    clock.now += timedelta(hours=24)
    assert (await refusal(ledger.reserve(owner, new_id(), "m", 1))).reason is Reason.QUOTA_EXCEEDED
    clock.now += timedelta(microseconds=1)
    await ledger.reserve(owner, new_id(), "m", 100)
    assert (await refusal(ledger.reserve(owner, first, "m", 1))).reason is Reason.QUOTA_EXCEEDED
    assert await ledger.owner_of(first) == owner


def test_periods_are_months_in_utc() -> None:
    east = datetime.fromisoformat("2026-03-01T00:30:00+02:00")
    assert period_of(east) == "2026-02"
    assert end_of_period(east) == datetime(2026, 3, 1, tzinfo=UTC)
    assert end_of_period(datetime(2026, 1, 31, tzinfo=UTC)) == datetime(2026, 2, 1, tzinfo=UTC)
