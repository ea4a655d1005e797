"""What every metadata store must do with conversations, whatever it is made of."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.chassis.ids import new_id
from services.metadata.store import Conversation, Filter, Owner, Position, Settings, Store, Theme

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
ALL = Filter()


def new_owner() -> Owner:
    return Owner("default", new_id())


def conversation(owner: Owner, *, after: int = 0, name: str = "Trip to Rome", pinned: bool = False) -> Conversation:
    """A conversation that was last changed `after` milliseconds after START."""
    return Conversation(
        owner=owner,
        conversation_id=new_id(),
        display_name=name,
        model="m",
        system_prompt="Be brief.",
        current_leaf_id=None,
        pinned=pinned,
        archived=False,
        labels={"topic": "travel"},
        etag=new_id(),
        created_as="d",
        create_time=START,
        update_time=START + after * MILLISECOND,
    )


def settings(owner: Owner, etag: str = "1") -> Settings:
    return Settings(owner, "m", "Speak plainly.", "de-CH", Theme.DARK, etag, START)


def position(row: Conversation) -> Position:
    return Position(row.pinned, row.update_time, row.conversation_id)


async def pages(store: Store, owner: Owner, size: int, narrow: Filter = ALL) -> AsyncIterator[list[Conversation]]:
    after = None
    while page := list(await store.list(owner, narrow, after=after, limit=size)):
        yield page
        after = position(page[-1])


class MetadataStoreContract:
    """Subclasses provide the fixture `store`. Every test has owners of its own."""

    async def test_a_conversation_is_read_as_it_was_created(self, store: Store) -> None:
        row = conversation(new_owner(), name="Grüße, 世界 👋🏽")
        row = replace(row, labels={"ß": "İ", "empty": ""}, system_prompt="é" * 16_384, current_leaf_id=new_id())
        assert await store.create(row)
        assert await store.get(row.owner, row.conversation_id) == row

    async def test_an_absent_conversation_is_none(self, store: Store) -> None:
        assert await store.get(new_owner(), new_id()) is None

    async def test_a_megabyte_of_text_is_kept(self, store: Store) -> None:
        text = "Grüße, 世界 👋🏽\n" * 60_000
        row = replace(conversation(new_owner()), system_prompt=text)
        assert len(text.encode()) > 1_000_000
        assert await store.create(row)
        assert await store.get(row.owner, row.conversation_id) == row
        assert await store.put_settings(replace(settings(row.owner), custom_instructions=text), None)
        stored = await store.settings(row.owner)
        assert stored is not None
        assert stored.custom_instructions == text

    async def test_a_repeated_write_changes_nothing(self, store: Store) -> None:
        row, later = conversation(new_owner()), settings(new_owner(), "2")
        changed = replace(row, display_name="new", etag="2")
        assert [await store.create(row) for _ in range(2)] == [True, False]
        assert [await store.replace(changed, row.etag) for _ in range(2)] == [True, False]
        assert not await store.create(row)
        assert [await store.put_settings(settings(later.owner), None) for _ in range(2)] == [True, False]
        assert [await store.put_settings(later, "1") for _ in range(2)] == [True, False]
        assert not await store.put_settings(settings(later.owner), None)
        assert await store.get(row.owner, row.conversation_id) == changed
        assert await store.settings(later.owner) == later

    async def test_of_many_creations_under_one_id_one_counts(self, store: Store) -> None:
        row = conversation(new_owner())
        rows = [replace(row, display_name=str(n)) for n in range(8)]
        created = await asyncio.gather(*map(store.create, rows))
        assert sum(created) == 1
        assert await store.get(row.owner, row.conversation_id) == rows[created.index(True)]

    async def test_another_owners_conversation_is_not_there(self, store: Store) -> None:
        row = conversation(new_owner())
        await store.create(row)
        for other in (new_owner(), Owner("other", row.owner.account_id)):
            assert await store.get(other, row.conversation_id) is None
            assert await store.list(other, ALL, after=None, limit=10) == []
            assert not await store.create(replace(row, owner=other))
            assert not await store.replace(replace(row, owner=other, display_name="taken"), row.etag)
            assert not await store.delete(other, row.conversation_id)
        assert await store.get(row.owner, row.conversation_id) == row

    async def test_a_replacement_needs_the_etag(self, store: Store) -> None:
        row = conversation(new_owner())
        await store.create(row)
        changed = replace(row, display_name="new", labels={}, pinned=True, archived=True, etag="2")
        assert await store.replace(changed, row.etag)
        assert not await store.replace(replace(changed, display_name="late"), row.etag)
        assert await store.get(row.owner, row.conversation_id) == changed

    async def test_of_many_replacements_of_one_etag_one_counts(self, store: Store) -> None:
        row = conversation(new_owner())
        await store.create(row)
        rows = [replace(row, display_name=str(n), etag=str(n)) for n in range(50)]
        counted = await asyncio.gather(*(store.replace(each, row.etag) for each in rows))
        assert sum(counted) == 1
        assert await store.get(row.owner, row.conversation_id) == rows[counted.index(True)]

    async def test_what_was_created_once_stays(self, store: Store) -> None:
        row = conversation(new_owner())
        await store.create(row)
        assert await store.replace(replace(row, created_as="x", create_time=START + MILLISECOND, etag="2"), row.etag)
        assert await store.get(row.owner, row.conversation_id) == replace(row, etag="2")

    async def test_replacing_what_is_not_there_does_nothing(self, store: Store) -> None:
        row = conversation(new_owner())
        assert not await store.replace(row, row.etag)
        assert await store.get(row.owner, row.conversation_id) is None

    async def test_deleting_twice_is_deleting_once(self, store: Store) -> None:
        row = conversation(new_owner())
        await store.create(row)
        assert await store.delete(row.owner, row.conversation_id)
        assert not await store.delete(row.owner, row.conversation_id)
        assert await store.get(row.owner, row.conversation_id) is None
        assert await store.create(row)

    async def test_whoever_has_none_has_an_empty_list(self, store: Store) -> None:
        assert await store.list(new_owner(), ALL, after=None, limit=10) == []
        assert await store.list(new_owner(), Filter(archived=True, name_contains="x"), after=None, limit=10) == []

    async def test_pinned_ones_come_first_then_the_latest_updated(self, store: Store) -> None:
        owner = new_owner()
        rows = [
            replace(conversation(owner, after=n // 3, pinned=n % 5 == 0), archived=n % 4 == 0 or n > 24)
            for n in range(30)
        ]
        for row in random.sample(rows, len(rows)):
            await store.create(row)
        ordered = sorted(rows, key=lambda row: (row.pinned, row.update_time, row.conversation_id), reverse=True)
        assert await store.list(owner, ALL, after=None, limit=100) == ordered
        for size in (1, 7, 30):
            assert [row async for page in pages(store, owner, size) for row in page] == ordered
        kept = [row for row in ordered if not row.archived]
        assert [row async for page in pages(store, owner, 4, Filter(archived=False)) for row in page] == kept

    async def test_a_place_stays_good_when_its_row_is_gone(self, store: Store) -> None:
        owner = new_owner()
        rows = [conversation(owner, after=n) for n in range(4)]
        for row in rows:
            await store.create(row)
        await store.delete(owner, rows[2].conversation_id)
        assert await store.list(owner, ALL, after=position(rows[2]), limit=10) == [rows[1], rows[0]]

    async def test_everything_unchanged_is_listed_once_while_others_write(self, store: Store) -> None:
        owner = new_owner()
        still = [conversation(owner, after=n, pinned=n % 7 == 0) for n in range(60)]
        busy = [conversation(owner, after=n) for n in range(60)]
        for row in (*still, *busy):
            await store.create(row)
        seen: list[str] = []
        later = 1000
        async for page in pages(store, owner, 7):
            seen += [row.conversation_id for row in page]
            for row in random.sample(busy, 5):
                later += 1
                changed = replace(row, update_time=START + later * MILLISECOND, pinned=later % 2 == 0, etag=new_id())
                assert await store.replace(changed, row.etag)
                busy[busy.index(row)] = changed
            await store.create(conversation(owner, after=later))
        wanted = [row.conversation_id for row in still]
        assert sorted(id_ for id_ in seen if id_ in set(wanted)) == sorted(wanted)

    async def test_a_filter_narrows(self, store: Store) -> None:
        owner = new_owner()
        plain, archived = conversation(owner, after=1), replace(conversation(owner, after=2), archived=True)
        odd = conversation(owner, after=3, name="100 %_\\ STRASSE École")
        for row in (plain, archived, odd):
            await store.create(row)

        async def listed(narrow: Filter) -> list[Conversation]:
            return list(await store.list(owner, narrow, after=None, limit=10))

        assert await listed(Filter(archived=True)) == [archived]
        assert await listed(Filter(archived=False)) == [odd, plain]
        assert await listed(Filter(name_contains="TRIP")) == [archived, plain]
        assert await listed(Filter(archived=False, name_contains="trip")) == [plain]
        for part in ("%_\\", "straße", "éCOLE", "100 %"):
            assert await listed(Filter(name_contains=part)) == [odd]
        assert await listed(Filter(name_contains="r%m")) == []
        assert await listed(Filter(name_contains=".*")) == []

    async def test_a_filter_follows_a_new_name(self, store: Store) -> None:
        row = conversation(new_owner())
        await store.create(row)
        await store.replace(replace(row, display_name="Oslo", etag="2"), row.etag)
        assert await store.list(row.owner, Filter(name_contains="rome"), after=None, limit=10) == []
        assert len(await store.list(row.owner, Filter(name_contains="oslo"), after=None, limit=10)) == 1

    async def test_a_cancelled_write_harms_no_other(self, store: Store) -> None:
        owner = new_owner()
        rows = [conversation(owner, after=n) for n in range(60)]
        tasks = [asyncio.create_task(store.create(row)) for row in rows]
        for n, task in enumerate(tasks):
            if n % 3 == 0:
                await tasks[n - 1] if n else None
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stored = await store.list(owner, ALL, after=None, limit=100)
        assert {row.etag for row in stored} >= {row.etag for n, row in enumerate(rows) if n % 3}
        assert all(row in rows for row in stored)
