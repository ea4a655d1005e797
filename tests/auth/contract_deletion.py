"""What every store must do with accounts that are closed and deleted, whatever it is made of."""

import asyncio
import random
from dataclasses import replace

from services.auth.records import Account, KeyCreating, Owner, Reserving
from services.auth.store import Store
from services.chassis.ids import new_id
from tests.auth.contract_accounts import NOW, SECOND, new_account, new_owner, registered
from tests.auth.contract_ledger import balance, reservation, reserve, settle
from tests.auth.contract_secrets import new_key, new_session

NOTHING = dict.fromkeys(
    ("accounts", "credentials", "sign_in_attempts", "api_keys", "sessions", "reservations", "periods"), 0
)


async def used_account(store: Store, subject: str) -> Account:
    """An account with something in every table."""
    account = new_account()
    await store.accounts.create(account, "hash")
    for _ in range(2):
        await store.api_keys.create(new_key(account.owner), 9)
        await store.sessions.start(new_session(account.owner))
    for period in ("2026-10", "2026-11"):
        await reserve(store, replace(reservation(account.owner), period=period))
    await store.attempts.attempt(subject, NOW, NOW + SECOND)
    return account


class DeletionContract:
    """Subclasses provide the fixture `store`."""

    async def test_an_account_is_closed_once(self, store: Store) -> None:
        account = new_account()
        await store.accounts.create(account, "hash")
        for seconds in (0, 1):
            assert await store.accounts.close(account.owner, NOW + seconds * SECOND)
        closed = replace(account, close_time=NOW)
        assert await store.accounts.get(account.owner) == closed
        credential = await store.accounts.credential(account.email)
        assert credential
        assert credential.account == closed
        for owner in (new_owner(), replace(account.owner, tenant_id="other")):
            assert not await store.accounts.close(owner, NOW)

    async def test_nothing_new_is_written_for_a_closed_account(self, store: Store) -> None:
        subject = new_id()
        account = await used_account(store, subject)
        before = reservation(account.owner)
        await reserve(store, before)
        await store.accounts.close(account.owner, NOW)
        for owner in (account.owner, new_owner(), replace(account.owner, tenant_id="other")):
            assert await store.api_keys.create(new_key(owner), 9) is KeyCreating.CLOSED
            assert not await store.sessions.start(new_session(owner))
            assert await reserve(store, reservation(owner)) is Reserving.CLOSED
        assert await reserve(store, before) is Reserving.CLOSED
        assert await settle(store, account.owner, before.reservation_id, 1, 2)
        assert await balance(store, account.owner) == (3, 10)

    async def test_an_open_account_is_not_deleted(self, store: Store) -> None:
        subject = new_id()
        account = await used_account(store, subject)
        assert await store.accounts.delete(account.owner, subject) is None
        assert await store.accounts.get(account.owner) == account
        assert len(await store.api_keys.list(account.owner, before=None, limit=9)) == 2

    async def test_a_deleted_account_leaves_nothing_and_the_others_everything(self, store: Store) -> None:
        subject, others_subject = new_id(), new_id()
        account, other = await used_account(store, subject), await used_account(store, others_subject)
        for each in (account, other):
            await store.accounts.close(each.owner, NOW)
        assert await store.accounts.delete(replace(account.owner, tenant_id="other"), new_id()) == NOTHING
        twos = dict.fromkeys(("api_keys", "sessions", "reservations", "periods"), 2)
        ones = dict.fromkeys(("accounts", "credentials", "sign_in_attempts"), 1)
        assert await store.accounts.delete(account.owner, subject) == {**twos, **ones}
        assert await store.accounts.delete(account.owner, subject) == NOTHING
        assert await store.accounts.get(account.owner) is None
        assert await store.accounts.credential(account.email) is None
        assert await store.accounts.delete(other.owner, others_subject) == {**twos, **ones}

    async def test_an_address_is_free_again(self, store: Store) -> None:
        account = new_account()
        await store.accounts.create(account, "1")
        await store.accounts.close(account.owner, NOW)
        await store.accounts.delete(account.owner, new_id())
        another = new_account(account.email)
        assert await store.accounts.create(another, "2")
        credential = await store.accounts.credential(account.email)
        assert credential
        assert (credential.account, credential.password_hash) == (another, "2")

    async def test_what_comes_late_brings_nothing_back(self, store: Store) -> None:
        owner = await registered(store)
        wanted, session, key = reservation(owner), new_session(owner), new_key(owner)
        await reserve(store, wanted)
        await store.sessions.start(session)
        await store.api_keys.create(key, 9)
        await store.accounts.close(owner, NOW)
        await store.accounts.delete(owner, new_id())
        assert not await settle(store, owner, wanted.reservation_id, 1, 2)
        await store.ledger.release(owner, wanted.reservation_id, NOW)
        assert await reserve(store, wanted) is Reserving.CLOSED
        assert not await store.sessions.refresh(session, session.token_hash)
        await store.sessions.end(session.session_id, NOW)
        assert not await store.api_keys.revoke(owner, key.api_key_id, NOW)
        assert not await store.accounts.replace_password_hash(owner, "hash", "2")
        assert not await store.accounts.close(owner, NOW)
        await nothing_is_left(store, owner, [wanted.reservation_id], [session.session_id])

    async def test_of_what_comes_at_the_same_time_nothing_stays(self, store: Store) -> None:
        for _ in range(4):
            owner = await registered(store)
            wanted = [reservation(owner, 1) for _ in range(8)]
            sessions = [new_session(owner) for _ in range(4)]
            for each in wanted[:4]:
                await reserve(store, each)

            async def end(owner: Owner = owner) -> None:
                await store.accounts.close(owner, NOW)
                assert await store.accounts.delete(owner, new_id()) is not None

            calls = [
                end(),
                *(reserve(store, each) for each in wanted),
                *(settle(store, owner, each.reservation_id, 1, 1) for each in wanted[:6]),
                *(store.ledger.release(owner, each.reservation_id, NOW) for each in wanted[2:4]),
                *(store.sessions.start(each) for each in sessions),
                *(store.api_keys.create(new_key(owner), 3) for _ in range(4)),
            ]
            random.shuffle(calls)
            await asyncio.gather(*calls)
            await nothing_is_left(
                store, owner, [each.reservation_id for each in wanted], [each.session_id for each in sessions]
            )


async def nothing_is_left(store: Store, owner: Owner, reservations: list[str], sessions: list[str]) -> None:
    assert await store.accounts.get(owner) is None
    assert await store.api_keys.list(owner, before=None, limit=9) == []
    assert await balance(store, owner) == (0, 0)
    assert [await store.ledger.get(id_) for id_ in reservations] == [None] * len(reservations)
    assert [await store.sessions.get(id_) for id_ in sessions] == [None] * len(sessions)
