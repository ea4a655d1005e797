"""What every store must do with API keys, sessions and signing keys, whatever it is made of."""

import asyncio
import secrets
from dataclasses import replace

from services.auth.records import ApiKey, KeyCreating, Owner, Session, SigningKey
from services.auth.store import Store
from services.chassis.ids import new_id
from tests.auth.contract_accounts import NOW, SECOND, new_owner, registered


def new_key(owner: Owner, name: str = "ключ") -> ApiKey:
    return ApiKey(owner, new_id(), name, "pk_abc", secrets.token_bytes(32), expire_time=NOW)


def new_session(owner: Owner) -> Session:
    return Session(owner, new_id(), secrets.token_bytes(32), refresh_time=NOW, expire_time=NOW + 60 * SECOND)


def signing_key(generation: int) -> SigningKey:
    return SigningKey(generation, new_id(), secrets.token_bytes(32), "sealed", NOW + generation * SECOND)


class ApiKeyStoreContract:
    """Subclasses provide the fixture `store`."""

    async def test_a_key_is_found_by_its_hash(self, store: Store) -> None:
        key, endless = new_key(await registered(store)), replace(new_key(await registered(store)), expire_time=None)
        assert await store.api_keys.create(key, 1) is KeyCreating.CREATED
        assert await store.api_keys.create(endless, 1) is KeyCreating.CREATED
        assert await store.api_keys.find(key.secret_hash) == key
        assert await store.api_keys.find(endless.secret_hash) == endless
        assert await store.api_keys.find(secrets.token_bytes(32)) is None

    async def test_of_keys_at_once_no_more_than_the_limit_count(self, store: Store) -> None:
        owner = await registered(store)
        keys = [new_key(owner) for _ in range(9)]
        created = await asyncio.gather(*(store.api_keys.create(key, 4) for key in keys))
        assert sorted(created) == [KeyCreating.CREATED] * 4 + [KeyCreating.EXCEEDED] * 5
        assert len(await store.api_keys.list(owner, before=None, limit=10)) == 4

    async def test_a_revoked_key_makes_room_and_is_listed_no_more(self, store: Store) -> None:
        owner = await registered(store)
        first, second = new_key(owner), new_key(owner)
        await store.api_keys.create(first, 1)
        assert await store.api_keys.create(second, 1) is KeyCreating.EXCEEDED
        assert await store.api_keys.revoke(owner, first.api_key_id, NOW)
        assert await store.api_keys.create(second, 1) is KeyCreating.CREATED
        assert await store.api_keys.list(owner, before=None, limit=10) == [second]

    async def test_the_first_revocation_stays(self, store: Store) -> None:
        owner = await registered(store)
        key = new_key(owner)
        await store.api_keys.create(key, 1)
        assert await store.api_keys.revoke(owner, key.api_key_id, NOW)
        assert await store.api_keys.revoke(owner, key.api_key_id, NOW + SECOND)
        assert await store.api_keys.find(key.secret_hash) == replace(key, revoke_time=NOW)

    async def test_another_owners_key_is_not_there(self, store: Store) -> None:
        key = new_key(await registered(store))
        await store.api_keys.create(key, 1)
        for other in (new_owner(), Owner("other", key.owner.account_id)):
            assert not await store.api_keys.revoke(other, key.api_key_id, NOW)
            assert await store.api_keys.list(other, before=None, limit=10) == []
        assert await store.api_keys.find(key.secret_hash) == key

    async def test_keys_are_listed_newest_first_also_while_they_change(self, store: Store) -> None:
        owner = await registered(store)
        keys = [new_key(owner, str(n)) for n in range(7)]
        for key in keys:
            await store.api_keys.create(key, 10)
        assert await store.api_keys.list(owner, before=None, limit=3) == keys[:3:-1]
        await store.api_keys.revoke(owner, keys[4].api_key_id, NOW)
        await store.api_keys.create(new_key(owner), 10)
        assert await store.api_keys.list(owner, before=keys[4].api_key_id, limit=9) == keys[3::-1]

    async def test_pages_cover_every_key_once_while_others_come_and_go(self, store: Store) -> None:
        owner, other = await registered(store), await registered(store)
        assert await store.api_keys.list(owner, before=None, limit=9) == []
        kept = [new_key(owner, str(n)) for n in range(24)]
        for key in kept:
            await store.api_keys.create(key, 99)

        async def disturb() -> None:
            for _ in range(12):
                for each in (owner, other):
                    key = new_key(each, "new")
                    await store.api_keys.create(key, 99)
                    await store.api_keys.revoke(each, key.api_key_id, NOW)

        seen: list[ApiKey] = []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(disturb())
            while page := await store.api_keys.list(owner, before=seen[-1].api_key_id if seen else None, limit=5):
                seen += page
        assert [key for key in seen if key.display_name != "new"] == kept[::-1]


class SessionStoreContract:
    async def test_a_session_is_read_as_it_was_started(self, store: Store) -> None:
        session = new_session(await registered(store))
        await store.sessions.start(session)
        assert await store.sessions.get(session.session_id) == session
        assert await store.sessions.get(new_id()) is None

    async def test_of_refreshes_at_once_one_counts(self, store: Store) -> None:
        session = new_session(await registered(store))
        await store.sessions.start(session)
        later = [
            replace(session, token_hash=bytes([n]), refresh_time=NOW + SECOND, expire_time=NOW + (n + 90) * SECOND)
            for n in range(8)
        ]
        counted = await asyncio.gather(*(store.sessions.refresh(each, session.token_hash) for each in later))
        assert sum(counted) == 1
        assert await store.sessions.get(session.session_id) == later[counted.index(True)]

    async def test_an_ended_session_is_not_refreshed(self, store: Store) -> None:
        session = new_session(await registered(store))
        await store.sessions.start(session)
        await store.sessions.end(session.session_id, NOW)
        await store.sessions.end(session.session_id, NOW + SECOND)
        await store.sessions.end(new_id(), NOW)
        assert not await store.sessions.refresh(session, session.token_hash)
        assert await store.sessions.get(session.session_id) == replace(session, end_time=NOW)

    async def test_of_refreshing_and_ending_at_once_the_end_stays(self, store: Store) -> None:
        session = new_session(await registered(store))
        await store.sessions.start(session)
        later = replace(session, token_hash=b"2", refresh_time=NOW + SECOND)
        refreshed, _ = await asyncio.gather(
            store.sessions.refresh(later, session.token_hash), store.sessions.end(session.session_id, NOW)
        )
        ended = replace(later if refreshed else session, end_time=NOW)
        assert await store.sessions.get(session.session_id) == ended

    async def test_many_start_and_expire_at_once(self, store: Store) -> None:
        owner = await registered(store)
        old = [new_session(owner) for _ in range(12)]
        for each in old:
            await store.sessions.start(each)
        late = old[0].expire_time
        new = [replace(new_session(owner), refresh_time=late, expire_time=late + SECOND) for _ in range(12)]
        assert all(await asyncio.gather(*map(store.sessions.start, new)))
        assert [await store.sessions.get(each.session_id) for each in (*old, *new)] == [*[None] * 12, *new]

    async def test_expired_sessions_go_when_another_starts(self, store: Store) -> None:
        old, new = new_session(await registered(store)), new_session(await registered(store))
        late = replace(new, refresh_time=old.expire_time, expire_time=old.expire_time + SECOND)
        await store.sessions.start(old)
        await store.sessions.start(late)
        assert await store.sessions.get(old.session_id) is None
        assert await store.sessions.get(late.session_id) == late


class SigningKeyStoreContract:
    """The store begins without keys."""

    async def test_keys_are_read_by_generation(self, store: Store) -> None:
        keys = [signing_key(n) for n in (1, 2, 3)]
        for key in (keys[0], keys[2], keys[1]):
            assert await store.signing_keys.add(key)
        assert await store.signing_keys.all() == keys
        await store.signing_keys.drop(below=3)
        assert await store.signing_keys.all() == keys[2:]

    async def test_of_keys_of_one_generation_one_counts(self, store: Store) -> None:
        keys = [signing_key(1) for _ in range(8)]
        added = await asyncio.gather(*map(store.signing_keys.add, keys))
        assert sum(added) == 1
        assert await store.signing_keys.all() == [keys[added.index(True)]]
