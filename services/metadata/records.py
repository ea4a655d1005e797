"""Conversations and settings as records of a backup: {"conversation": {…}} or {"settings": {…}}."""

from collections.abc import Mapping
from typing import Any

from services.chassis.process import RefusedError
from services.chassis.records import Records
from services.metadata.store import Conversation, Settings

_CONVERSATIONS: Records[Conversation] = Records(Conversation)
_SETTINGS: Records[Settings] = Records(Settings)


def to_record(row: Conversation | Settings) -> dict[str, Any]:
    if isinstance(row, Conversation):
        return {"conversation": _CONVERSATIONS.to_record(row)}
    return {"settings": _SETTINGS.to_record(row)}


def from_record(record: Mapping[str, Any]) -> Conversation | Settings:
    """Raises RefusedError at what `to_record` did not make."""
    match record:
        case {"conversation": values}:
            return _CONVERSATIONS.from_record(values)
        case {"settings": values}:
            return _SETTINGS.from_record(values)
    raise RefusedError("The backup is damaged: a record is neither a conversation nor settings.")
