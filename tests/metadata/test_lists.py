"""Lists of conversations, through the door."""

from collections.abc import Awaitable
from typing import Any

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.errors import Reason
from services.chassis.paging import seal
from tests.metadata.person import Person, new_conversation, refusal


async def test_pages_cover_everything_once(ann: Person, bob: Person) -> None:
    rows = [await ann.create(new_conversation(pinned=n % 4 == 0)) for n in range(12)]
    await bob.create(new_conversation())
    seen: list[pb.Conversation] = []
    token = ""
    while not seen or token:
        page = await ann.list(page_size=5, page_token=token)
        seen += page.conversations
        token = page.next_page_token
        await ann.create(new_conversation(pinned=True))
        await ann.delete(seen[-1].conversation_id)
    assert [row.conversation_id for row in seen] == [
        row.conversation_id
        for row in sorted(rows, key=lambda row: (row.pinned, row.update_time.ToNanoseconds(), row.conversation_id))[
            ::-1
        ]
    ]


async def test_a_list_is_narrowed(ann: Person) -> None:
    await ann.create(new_conversation(display_name="Trip to Rome"))
    await ann.create(new_conversation(display_name="Old trip", archived=True))

    async def names(**fields: Any) -> list[str]:
        page = await ann.list(filter=pb.ConversationFilter(**fields))
        return [row.display_name for row in page.conversations]

    assert await names() == ["Old trip", "Trip to Rome"]
    assert await names(archived=False) == ["Trip to Rome"]
    assert await names(archived=True, display_name_contains="TRIP") == ["Old trip"]
    assert await names(display_name_contains="oslo") == []


async def test_a_page_token_is_good_for_its_list_alone(ann: Person, bob: Person) -> None:
    for _ in range(3):
        await ann.create(new_conversation())
    page = await ann.list(page_size=1)
    token, id_ = page.next_page_token, page.conversations[0].conversation_id
    narrow = pb.ConversationFilter(archived=False)
    scope = f'["conversations", "default", "{ann.account_id}", null, ""]'
    sealed = [
        seal(scope, place)
        for place in (
            "x",
            "[]",
            f'[1, "x", "{id_}"]',
            f'[true, "x", "{id_}"]',
            f'[true, "0001-01-01T00:00:00+23:59", "{id_}"]',
            '[true, "2026-01-01T00:00:00+00:00", "\\ud800"]',
        )
    ]
    calls: list[Awaitable[object]] = [
        bob.list(page_token=token),
        ann.list(page_token=token, filter=narrow),
        ann.list(page_token=token + "x"),
        ann.list(page_token="é"),
        *(ann.list(page_token=forged) for forged in sealed),
    ]
    for call in calls:
        assert (await refusal(call)).reason is Reason.INVALID_PAGE_TOKEN
