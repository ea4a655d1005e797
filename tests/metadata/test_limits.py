"""What is refused at the door, and by the service behind it."""

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.errors import Reason
from services.chassis.ids import new_id
from services.metadata.limits import MAX_PROMPT_BYTES
from tests.identity import Signer
from tests.metadata.person import Person, new_conversation, refusal

BAD_CONTENT: dict[str, list[Any]] = {
    "display_name": ["x" * 201, "a\0b"],
    "model": ["", "m" * 257],
    "system_prompt": ["x" * (MAX_PROMPT_BYTES + 1), "\0"],
    "current_leaf_id": ["", "leaf"],
    "labels": [{str(n): "" for n in range(17)}, {"": "x"}, {"x" * 65: ""}, {"x": "é" * 65}, {"x": "\0"}],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD_CONTENT.items() for value in values])
async def test_bad_content_is_named_and_nothing_is_written(ann: Person, name: str, value: Any) -> None:
    error = await refusal(ann.create(new_conversation(**{name: value})))
    assert error.reason is Reason.INVALID_ARGUMENT
    assert list(error.fields) == [f"conversation.{name}"]
    assert not (await ann.list()).conversations
    created = await ann.create(new_conversation())
    change = pb.Conversation(conversation_id=created.conversation_id, **{name: value})
    assert list((await refusal(ann.update(change, name))).fields) == [f"conversation.{name}"]
    assert await ann.get(created.conversation_id) == created


async def test_limits_are_reached_inclusively(ann: Person) -> None:
    labels = {f"{n:02}" + "é" * 62: "世" * 64 for n in range(16)}
    wanted = new_conversation(
        display_name="👋" * 200, model="m" * 256, system_prompt="x" * MAX_PROMPT_BYTES, labels=labels
    )
    assert dict((await ann.create(wanted)).labels) == labels


async def test_every_fault_is_named_at_once(ann: Person) -> None:
    wanted = pb.Conversation(conversation_id="x", display_name="x" * 201, etag="e")
    error = await refusal(ann.create(wanted))
    assert set(error.fields) == {
        "conversation.conversation_id",
        "conversation.display_name",
        "conversation.etag",
        "conversation.model",
    }


async def test_bad_requests_are_refused(ann: Person) -> None:
    created = await ann.create(new_conversation())
    id_ = created.conversation_id
    faults: dict[str, list[Awaitable[object]]] = {
        "conversation_id": [ann.get("x"), ann.get(id_.upper()), ann.delete("")],
        "update_mask": [
            ann.update(pb.Conversation(conversation_id=id_)),
            ann.update(pb.Conversation(conversation_id=id_), "etag"),
            ann.update(pb.Conversation(conversation_id=id_), "labels.x"),
            ann.update_settings(pb.Settings()),
            ann.update_settings(pb.Settings(), "update_time"),
        ],
        "page_size": [ann.list(page_size=-1), ann.list(page_size=101), ann.list(page_size=2**31 - 1)],
        "filter.display_name_contains": [
            ann.list(filter=pb.ConversationFilter(display_name_contains=text)) for text in ("x" * 201, "\0")
        ],
        "settings.default_model": [ann.update_settings(pb.Settings(default_model="x" * 257), "default_model")],
        "settings.custom_instructions": [
            ann.update_settings(pb.Settings(custom_instructions="x" * 8193), "custom_instructions")
        ],
        "settings.locale": [
            ann.update_settings(pb.Settings(locale=text), "locale") for text in ("x", "de_CH", "de-", "a" * 65, "en\n")
        ],
        "settings.theme": [ann.update_settings(pb.Settings(theme=9), "theme")],  # type: ignore[arg-type]
    }
    for name, calls in faults.items():
        for call in calls:
            error = await refusal(call)
            assert (error.reason, list(error.fields)) == (Reason.INVALID_ARGUMENT, [name])
    assert await ann.get(id_) == created


async def test_a_service_for_itself_owns_nothing(ann: Person, signer: Signer) -> None:
    ann.metadata = signer.metadata("metadata")
    calls: tuple[Awaitable[object], ...] = (
        ann.list(),
        ann.settings(),
        ann.get(new_id()),
        ann.create(new_conversation()),
    )
    for call in calls:
        assert (await refusal(call)).reason is Reason.PERMISSION_DENIED


async def test_a_token_for_another_service_is_refused(ann: Person, signer: Signer) -> None:
    for metadata in (signer.metadata("history", ann.account_id), grpc.aio.Metadata()):
        ann.metadata = metadata
        assert (await refusal(ann.list())).reason is Reason.UNAUTHENTICATED


async def test_an_update_mask_in_json_names_is_refused(ann: Person) -> None:
    created = await ann.create(new_conversation())
    request = pb.UpdateConversationRequest(
        conversation=pb.Conversation(conversation_id=created.conversation_id),
        update_mask=FieldMask(paths=["displayName"]),
    )
    assert (await refusal(ann.call(ann.stub.UpdateConversation, request))).reason is Reason.INVALID_ARGUMENT
