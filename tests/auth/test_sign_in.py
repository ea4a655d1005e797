"""Signing in by password, through the door."""

import asyncio
import statistics
import time
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from services.auth.clock import utc_now
from services.auth.passwords import Passwords
from services.auth.sign_in import SignIn
from services.auth.store import Store
from services.chassis.errors import DomainError, Reason
from tests.auth.contract_accounts import new_account
from tests.auth.served import PASSWORD, Auth, Client, SetClock, new_config, refusal, served


async def test_a_password_is_verified(operator: Client, edge: Client) -> None:
    account = await operator.create_account("ann@example.com")
    assert await edge.verify_password("ann@example.com") == account
    assert await edge.verify_password("ANN@Example.com") == account


async def test_wrong_credentials_are_all_refused_alike(operator: Client, edge: Client) -> None:
    await operator.create_account("ann@example.com")
    attempts = [
        ("ann@example.com", PASSWORD + "x"),
        ("ann@example.com", ""),
        ("ann@example.com", "x" * 2000),
        ("bob@example.com", PASSWORD),
        ("", PASSWORD),
        ("x" * 300, PASSWORD),
    ]
    errors = [await refusal(edge.verify_password(*attempt)) for attempt in attempts]
    assert {str(error) for error in errors} == {"INVALID_CREDENTIALS: The e-mail address or the password is not right."}
    assert {error.reason for error in errors} == {Reason.INVALID_CREDENTIALS}
    assert set((await refusal(edge.issue("", ""))).fields) == {"email", "password"}


async def test_only_the_edge_signs_people_in(auth: Auth, operator: Client, ann: Client) -> None:
    await operator.create_account("ann@example.com")
    for who in (operator, ann, auth.client("conversation")):
        calls = (
            who.verify_password("ann@example.com"),
            who.issue("ann@example.com"),
            who.refresh("x"),
            who.revoke("x"),
        )
        for call in calls:
            assert (await refusal(call)).reason is Reason.PERMISSION_DENIED


async def test_a_password_is_the_same_however_it_was_typed(operator: Client, edge: Client) -> None:
    await operator.create_account("ann@example.com", password="café au lait")
    assert await edge.verify_password("ann@example.com", "cafe\u0301 au lait")


async def test_too_many_attempts_at_once_are_refused(store_url: str) -> None:
    async with served(new_config(store_url, sign_in_attempts=3)) as auth:
        await auth.client("operator").create_account("ann@example.com")
        edge = auth.client("edge")
        for email in ("ann@example.com", "nobody@example.com"):
            errors = await asyncio.gather(*(refusal(edge.issue(email, f"guess number {n}")) for n in range(10)))
            reasons = [error.reason for error in errors]
            assert reasons.count(Reason.INVALID_CREDENTIALS) == 3
            assert reasons.count(Reason.RATE_LIMITED) == 7
        error = await refusal(edge.verify_password("Ann@example.com"))
        assert error.reason is Reason.RATE_LIMITED
        assert error.retry_after is not None
        assert 890 < error.retry_after <= 900


async def test_success_forgets_attempts_and_so_does_time(store: Store) -> None:
    clock = SetClock(utc_now())
    async with Passwords(PasswordHasher(1, 8, 1), threads=1, queue=4) as passwords:
        sign_in = SignIn(store.accounts, store.attempts, passwords, clock, limit=2, window=timedelta(seconds=60))
        account = new_account()
        await store.accounts.create(account, await passwords.hash(PASSWORD))
        for _ in range(3):
            await refusal(sign_in.account(account.email, "wrong"))
            assert await sign_in.account(account.email, PASSWORD) == account
        for _ in range(2):
            await refusal(sign_in.account(account.email, "wrong"))
        clock.now += timedelta(seconds=59)
        error = await refusal(sign_in.account(account.email, PASSWORD))
        assert (error.reason, error.retry_after) == (Reason.RATE_LIMITED, 1)
        clock.now += timedelta(seconds=1)
        assert await sign_in.account(account.email, PASSWORD) == account


async def test_a_hash_with_old_parameters_is_renewed(store_url: str) -> None:
    async with served(new_config(store_url)) as auth:
        await auth.client("operator").create_account("ann@example.com")
        before = await auth.store.accounts.credential("ann@example.com")
    async with served(new_config(store_url, password_iterations=2)) as auth:
        await auth.client("edge").verify_password("ann@example.com")
        after = await auth.store.accounts.credential("ann@example.com")
        await auth.client("edge").verify_password("ann@example.com")
        assert await auth.store.accounts.credential("ann@example.com") == after
    assert before is not None
    assert after is not None
    assert "t=1" in before.password_hash
    assert "t=2" in after.password_hash


async def test_nobodys_password_takes_as_long_as_somebodys() -> None:
    async with Passwords(PasswordHasher(2, 8192, 1), threads=1, queue=4) as passwords:
        stored = await passwords.hash(PASSWORD)

        async def seconds(password_hash: str | None) -> float:
            started = time.perf_counter()
            assert not await passwords.verify(password_hash, "wrong")
            return time.perf_counter() - started

        somebodys = statistics.median([await seconds(stored) for _ in range(9)])
        nobodys = statistics.median([await seconds(None) for _ in range(9)])
    assert 0.4 < nobodys / somebodys < 2.5


async def test_passwords_beyond_the_queue_are_refused_and_cancelled_ones_give_way() -> None:
    async with Passwords(PasswordHasher(2, 8192, 1), threads=1, queue=3) as passwords:
        tasks = [asyncio.create_task(passwords.hash(PASSWORD)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(DomainError) as refused:
            await passwords.hash(PASSWORD)
        assert refused.value.reason is Reason.RATE_LIMITED
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await passwords.verify(await passwords.hash(PASSWORD), PASSWORD)
