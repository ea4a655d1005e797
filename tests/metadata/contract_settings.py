"""What every metadata store must do with settings, and with all that it holds."""

import asyncio
from dataclasses import replace

from services.chassis.ids import new_id
from services.metadata.store import Conversation, Owner, Settings, Store
from tests.metadata.contract import MILLISECOND, conversation, new_owner, settings


class SettingsStoreContract:
    """Subclasses provide the fixture `store`. Every test has owners of its own."""

    async def test_settings_are_none_until_they_are_written(self, store: Store) -> None:
        owner = new_owner()
        assert await store.settings(owner) is None
        assert not await store.put_settings(settings(owner), "1")
        assert await store.settings(owner) is None

    async def test_settings_are_read_as_written_by_their_owner_alone(self, store: Store) -> None:
        owner = new_owner()
        assert await store.put_settings(settings(owner), None)
        assert await store.settings(owner) == settings(owner)
        assert await store.settings(Owner("other", owner.account_id)) is None
        assert not await store.put_settings(settings(owner, "2"), None)
        assert await store.put_settings(settings(owner, "2"), "1")
        assert await store.settings(owner) == settings(owner, "2")

    async def test_of_many_writes_over_one_state_of_settings_one_counts(self, store: Store) -> None:
        owner = new_owner()
        first = await asyncio.gather(*(store.put_settings(settings(owner, str(n)), None) for n in range(8)))
        assert sum(first) == 1
        won = str(first.index(True))
        second = await asyncio.gather(*(store.put_settings(settings(owner, f"x{n}"), won) for n in range(8)))
        assert sum(second) == 1
        assert await store.settings(owner) == settings(owner, f"x{second.index(True)}")

    async def test_deleted_settings_are_as_if_never_written(self, store: Store) -> None:
        owner, other = new_owner(), new_owner()
        await store.put_settings(settings(owner), None)
        await store.put_settings(settings(other), None)
        assert await store.delete_settings(owner)
        assert not await store.delete_settings(owner)
        assert await store.settings(owner) is None
        assert await store.settings(other) == settings(other)
        assert await store.put_settings(settings(owner, "2"), None)

    async def test_a_dump_has_everything_once_while_others_write(self, store: Store) -> None:
        owner, busy = new_owner(), conversation(new_owner())
        rows = [conversation(owner, after=n) for n in range(120)]
        for row in (*rows, busy):
            await store.create(row)
        await store.put_settings(settings(owner), None)
        seen: list[Conversation | Settings] = []
        async for record in store.dump():
            if record.owner == owner:
                seen.append(record)
                changed = replace(busy, etag=new_id(), update_time=busy.update_time + MILLISECOND, pinned=True)
                assert await store.replace(changed, busy.etag)
                busy = changed
        conversations = [record for record in seen if isinstance(record, Conversation)]
        assert sorted(conversations, key=lambda row: row.conversation_id) == rows
        assert seen[len(conversations) :] == [settings(owner)]
