"""Conversations and settings between their records and their protos."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from parley.metadata.v1 import metadata_service_pb2 as pb
from services.chassis.times import to_timestamp
from services.metadata.etag import digest, first_etag, unwritten_etag
from services.metadata.store import Conversation, Filter, Owner, Settings, Theme

CONVERSATION_FIELDS = ("display_name", "model", "system_prompt", "current_leaf_id", "pinned", "archived", "labels")
SETTINGS_FIELDS = ("default_model", "custom_instructions", "locale", "theme")
THEMES = {
    pb.THEME_UNSPECIFIED: Theme.SYSTEM,
    pb.THEME_SYSTEM: Theme.SYSTEM,
    pb.THEME_LIGHT: Theme.LIGHT,
    pb.THEME_DARK: Theme.DARK,
}
_THEME_OUT = {record: wire for wire, record in THEMES.items()}
_NEVER = datetime.fromtimestamp(0, UTC)


def to_record(conversation: pb.Conversation, owner: Owner, conversation_id: str, now: datetime) -> Conversation:
    """The row of a new conversation that was checked."""
    content = to_change(conversation, CONVERSATION_FIELDS)
    return Conversation(
        owner=owner,
        conversation_id=conversation_id,
        etag=first_etag(),
        created_as=digest(content),
        create_time=now,
        update_time=now,
        **content,
    )


def to_change(conversation: pb.Conversation, fields: Iterable[str]) -> dict[str, Any]:
    """The values of these fields, as a row has them."""
    values = {
        "display_name": conversation.display_name,
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "current_leaf_id": conversation.current_leaf_id if conversation.HasField("current_leaf_id") else None,
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "labels": dict(conversation.labels),
    }
    return {name: values[name] for name in fields}


def to_settings_change(settings: pb.Settings, fields: Iterable[str]) -> dict[str, Any]:
    """The values of these fields, as a row has them."""
    values = {
        "default_model": settings.default_model,
        "custom_instructions": settings.custom_instructions,
        "locale": settings.locale,
        "theme": THEMES[settings.theme],
    }
    return {name: values[name] for name in fields}


def to_filter(narrow: pb.ConversationFilter) -> Filter:
    return Filter(
        archived=narrow.archived if narrow.HasField("archived") else None,
        name_contains=narrow.display_name_contains,
    )


def to_proto(row: Conversation) -> pb.Conversation:
    return pb.Conversation(
        conversation_id=row.conversation_id,
        display_name=row.display_name,
        model=row.model,
        system_prompt=row.system_prompt,
        current_leaf_id=row.current_leaf_id,
        pinned=row.pinned,
        archived=row.archived,
        labels=row.labels,
        etag=row.etag,
        create_time=to_timestamp(row.create_time),
        update_time=to_timestamp(row.update_time),
    )


def unwritten(owner: Owner) -> Settings:
    """The settings before the first update: all at their defaults."""
    return Settings(owner, "", "", "", Theme.SYSTEM, unwritten_etag(owner), _NEVER)


def to_settings_proto(row: Settings) -> pb.Settings:
    return pb.Settings(
        default_model=row.default_model,
        custom_instructions=row.custom_instructions,
        locale=row.locale,
        theme=_THEME_OUT[row.theme],
        etag=row.etag,
        update_time=to_timestamp(row.update_time) if row.update_time > _NEVER else None,
    )
