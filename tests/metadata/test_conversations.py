"""Conversations, through the door."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.errors import Reason
from services.chassis.ids import new_id
from services.chassis.sqlite import Database
from services.metadata.sqlite import MIGRATIONS, SqliteStore
from services.metadata.store import Conversation, Owner, Store
from tests.identity import Signer
from tests.metadata.contract import MILLISECOND, conversation
from tests.metadata.person import Person, new_conversation, refusal
from tests.metadata.served import served


async def test_a_conversation_is_created_and_read(ann: Person) -> None:
    wanted = new_conversation(display_name="Grüße 👋🏽", system_prompt="x", pinned=True, labels={"ß": "世界"})
    created = await ann.create(wanted)
    assert (created.display_name, created.labels["ß"], created.pinned) == ("Grüße 👋🏽", "世界", True)
    assert created.etag
    assert created.create_time == created.update_time
    assert not created.HasField("current_leaf_id")
    assert await ann.get(wanted.conversation_id) == created


async def test_the_server_gives_an_id_where_there_is_none(ann: Person) -> None:
    created = await ann.create(pb.Conversation(model="m"))
    assert await ann.get(created.conversation_id) == created


async def test_creating_again_answers_what_is_stored(ann: Person) -> None:
    wanted = new_conversation(labels={"a": "1", "b": "2"})
    answers = await asyncio.gather(*(ann.create(wanted) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    named = await ann.update(pb.Conversation(conversation_id=wanted.conversation_id, display_name="t"), "display_name")
    assert await ann.create(wanted) == named


async def test_other_content_under_a_used_id_is_refused(ann: Person, bob: Person) -> None:
    wanted = new_conversation()
    created = await ann.create(wanted)
    other = new_conversation(conversation_id=wanted.conversation_id, model="other")
    conflict = await refusal(ann.create(other))
    assert conflict.reason is Reason.CONVERSATION_CONFLICT
    assert conflict.metadata == {"conversation_id": wanted.conversation_id}
    assert (await refusal(bob.create(wanted))).reason is Reason.NOT_FOUND
    assert await ann.get(wanted.conversation_id) == created


async def test_another_owners_conversation_does_not_exist(ann: Person, bob: Person) -> None:
    created = await ann.create(new_conversation())
    stranger, absent = created.conversation_id, new_id()
    errors = [
        (await refusal(bob.get(stranger)), await refusal(bob.get(absent))),
        (
            await refusal(bob.update(pb.Conversation(conversation_id=stranger, pinned=True), "pinned")),
            await refusal(bob.update(pb.Conversation(conversation_id=absent, pinned=True), "pinned")),
        ),
    ]
    for of_stranger, of_absent in errors:
        assert of_stranger.reason is Reason.NOT_FOUND
        assert str(of_stranger) == str(of_absent)
    assert not await bob.delete(stranger)
    assert not (await bob.list()).conversations
    assert await ann.get(stranger) == created


async def test_an_update_changes_the_named_fields_alone(ann: Person) -> None:
    created = await ann.create(new_conversation(display_name="a", system_prompt="s", labels={"k": "v"}))
    leaf = new_id()
    change = pb.Conversation(conversation_id=created.conversation_id, current_leaf_id=leaf, display_name="b")
    updated = await ann.update(change, "current_leaf_id", "display_name")
    assert (updated.current_leaf_id, updated.display_name) == (leaf, "b")
    assert (updated.system_prompt, dict(updated.labels), updated.model) == ("s", {"k": "v"}, "m")
    assert updated.etag != created.etag
    assert updated.create_time == created.create_time
    assert await ann.get(created.conversation_id) == updated
    change = pb.Conversation(conversation_id=created.conversation_id)
    emptied = await ann.update(change, "current_leaf_id", "labels", "system_prompt")
    assert not emptied.HasField("current_leaf_id")
    assert (emptied.system_prompt, dict(emptied.labels), emptied.display_name) == ("", {}, "b")


async def test_of_two_updates_with_one_etag_one_wins(ann: Person) -> None:
    created = await ann.create(new_conversation())

    async def rename(name: str) -> str:
        change = pb.Conversation(conversation_id=created.conversation_id, display_name=name, etag=created.etag)
        return (await ann.update(change, "display_name")).display_name

    names = [str(n) for n in range(8)]
    results = await asyncio.gather(*map(rename, names), return_exceptions=True)
    won = [result for result in results if isinstance(result, str)]
    lost = [result for result in results if isinstance(result, Exception)]
    assert len(won) == 1
    assert {getattr(error, "reason", None) for error in lost} == {Reason.ETAG_MISMATCH}
    assert (await ann.get(created.conversation_id)).display_name == won[0]


async def test_an_update_with_an_etag_is_safe_to_repeat(ann: Person) -> None:
    created = await ann.create(new_conversation())
    change = pb.Conversation(conversation_id=created.conversation_id, etag=created.etag, labels={"b": "1", "a": "2"})
    updated = await ann.update(change, "labels")
    assert await ann.update(change, "labels") == updated
    change.labels["a"] = "3"
    assert (await refusal(ann.update(change, "labels"))).reason is Reason.ETAG_MISMATCH


async def test_an_etag_of_a_deleted_conversation_is_not_good_for_the_next(ann: Person) -> None:
    wanted = new_conversation()
    before = await ann.create(wanted)
    await ann.delete(wanted.conversation_id)
    await ann.create(wanted)
    change = pb.Conversation(conversation_id=wanted.conversation_id, etag=before.etag, pinned=True)
    assert (await refusal(ann.update(change, "pinned"))).reason is Reason.ETAG_MISMATCH


async def test_updates_without_an_etag_all_count(ann: Person) -> None:
    created = await ann.create(new_conversation())
    leaf = new_id()
    fields: list[tuple[str, Any]] = [
        ("display_name", "t"),
        ("model", "n"),
        ("system_prompt", "s"),
        ("current_leaf_id", leaf),
        ("pinned", True),
        ("archived", True),
    ]
    updates = [
        ann.update(pb.Conversation(conversation_id=created.conversation_id, **{name: value}), name)
        for name, value in fields
    ]
    answers = await asyncio.gather(*updates)
    stored = await ann.get(created.conversation_id)
    assert [(name, getattr(stored, name)) for name, _ in fields] == fields
    times = sorted(answer.update_time.ToNanoseconds() for answer in (created, *answers))
    assert all(earlier < later for earlier, later in pairwise(times))
    assert len({answer.etag for answer in answers}) == len(fields)


async def test_an_update_is_later_than_the_one_before_whatever_the_clock_says(store: Store, ann: Person) -> None:
    ahead = datetime(2999, 1, 1, tzinfo=UTC)
    row = replace(conversation(Owner("default", ann.account_id)), update_time=ahead)
    await store.create(row)
    for n in (1, 2):
        updated = await ann.update(pb.Conversation(conversation_id=row.conversation_id, pinned=n == 1), "pinned")
        assert updated.update_time.ToDatetime(UTC) == ahead + n * MILLISECOND


class ContendedStore(SqliteStore):
    """Before every replacement, somebody else comes first."""

    async def replace(self, conversation: Conversation, etag: str) -> bool:
        await super().replace(replace(conversation, etag=new_id()), etag)
        return await super().replace(conversation, etag)


async def test_an_update_gives_up_when_others_never_stop(file_url: str, signer: Signer) -> None:
    async with (
        Database(file_url, MIGRATIONS) as database,
        served(ContendedStore(database), signer, update_attempts=3) as stub,
    ):
        ann = Person(stub, signer, new_id())
        created = await ann.create(new_conversation())
        change = pb.Conversation(conversation_id=created.conversation_id, pinned=True)
        error = await refusal(ann.update(change, "pinned"))
        assert (error.reason, error.retry_after) == (Reason.UNAVAILABLE, 1)
        change.etag = created.etag
        assert (await refusal(ann.update(change, "pinned"))).reason is Reason.ETAG_MISMATCH


async def test_deleting_is_safe_to_repeat(ann: Person) -> None:
    created = await ann.create(new_conversation())
    deletions = [ann.delete(created.conversation_id) for _ in range(3)]
    assert sorted(await asyncio.gather(*deletions)) == [False, False, True]
    assert (await refusal(ann.get(created.conversation_id))).reason is Reason.NOT_FOUND
    change = pb.Conversation(conversation_id=created.conversation_id, display_name="late")
    assert (await refusal(ann.update(change, "display_name"))).reason is Reason.NOT_FOUND
