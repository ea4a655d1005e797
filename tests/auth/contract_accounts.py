"""What every store must do with accounts and with attempts to sign in, whatever it is made of."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.auth.records import Account, Credential, Owner
from services.auth.store import Store
from services.chassis.ids import new_id

NOW = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def new_owner() -> Owner:
    return Owner("default", new_id())


def new_account(email: str = "") -> Account:
    return Account(new_owner(), email or f"{new_id()}@example.com", "Änn 👋🏽", ("admin", "user"))


async def registered(store: Store) -> Owner:
    """The owner of a new account."""
    account = new_account()
    assert await store.accounts.create(account, "hash")
    return account.owner


class AccountStoreContract:
    """Subclasses provide the fixture `store`."""

    async def test_an_account_is_read_as_it_was_created(self, store: Store) -> None:
        account = new_account()
        assert await store.accounts.create(account, "hash")
        assert await store.accounts.get(account.owner) == account
        assert await store.accounts.credential(account.email) == Credential(account, "hash")

    async def test_long_and_strange_texts_are_kept(self, store: Store) -> None:
        for text in ("", "👩‍👩‍👧‍👦 e\u0301 \u202e'\";--%s:x\\\r\n\t", "ж" * 500_000):
            account = replace(new_account(), display_name=text, roles=(text[:9],))
            assert await store.accounts.create(account, text)
            assert await store.accounts.credential(account.email) == Credential(account, text)

    async def test_an_absent_account_is_none(self, store: Store) -> None:
        assert await store.accounts.get(new_owner()) is None
        assert await store.accounts.credential(f"{new_id()}@example.com") is None

    async def test_an_account_of_another_tenant_is_not_there(self, store: Store) -> None:
        account = new_account()
        await store.accounts.create(account, "hash")
        assert await store.accounts.get(Owner("other", account.owner.account_id)) is None

    async def test_of_many_accounts_with_one_address_one_counts(self, store: Store) -> None:
        email = f"{new_id()}@example.com"
        accounts = [new_account(email) for _ in range(8)]
        created = await asyncio.gather(*(store.accounts.create(account, "hash") for account in accounts))
        assert sum(created) == 1
        stored = await store.accounts.credential(email)
        assert stored is not None
        assert stored.account == accounts[created.index(True)]
        lost = [account for account, counts in zip(accounts, created, strict=True) if not counts]
        assert [await store.accounts.get(account.owner) for account in lost] == [None] * 7

    async def test_a_password_hash_is_replaced_where_it_is_the_old_one(self, store: Store) -> None:
        account = new_account()
        await store.accounts.create(account, "1")
        assert not await store.accounts.replace_password_hash(account.owner, "0", "2")
        assert not await store.accounts.replace_password_hash(replace(account.owner, tenant_id="other"), "1", "2")
        assert await store.accounts.replace_password_hash(account.owner, "1", "2")
        assert await store.accounts.credential(account.email) == Credential(account, "2")


class AttemptStoreContract:
    async def test_attempts_are_counted_in_the_first_ones_window(self, store: Store) -> None:
        subject, other = new_id(), new_id()
        end = NOW + 10 * SECOND
        assert await store.attempts.attempt(subject, NOW, end) == (1, end)
        assert await store.attempts.attempt(other, NOW, end + SECOND) == (1, end + SECOND)
        assert await store.attempts.attempt(subject, NOW + SECOND, end + SECOND) == (2, end)

    async def test_a_window_that_has_ended_is_forgotten(self, store: Store) -> None:
        subject, end = new_id(), NOW + 10 * SECOND
        await store.attempts.attempt(subject, NOW, end)
        assert await store.attempts.attempt(subject, end, end + 10 * SECOND) == (1, end + 10 * SECOND)

    async def test_of_attempts_after_a_window_none_is_counted_twice(self, store: Store) -> None:
        subjects, end = [new_id() for _ in range(8)], NOW + 10 * SECOND
        for subject in subjects:
            await store.attempts.attempt(subject, NOW, end)
        again = [store.attempts.attempt(subject, end, end + SECOND) for subject in subjects for _ in range(3)]
        counted = await asyncio.gather(*again)
        assert sorted(counted) == sorted([(1, end + SECOND), (2, end + SECOND), (3, end + SECOND)] * 8)

    async def test_cleared_attempts_are_forgotten(self, store: Store) -> None:
        subject, end = new_id(), NOW + 10 * SECOND
        await store.attempts.attempt(subject, NOW, end)
        await store.attempts.clear(subject)
        await store.attempts.clear(subject)
        assert await store.attempts.attempt(subject, NOW, end) == (1, end)

    async def test_attempts_at_once_are_all_counted(self, store: Store) -> None:
        subject, end = new_id(), NOW + 10 * SECOND
        counted = await asyncio.gather(*(store.attempts.attempt(subject, NOW, end) for _ in range(20)))
        assert sorted(count for count, _ in counted) == list(range(1, 21))
