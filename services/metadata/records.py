"""Conversations and settings as the records of a backup."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from services.metadata.store import Conversation, Owner, Settings, Theme

_TIMES = ("create_time", "update_time")


def to_record(row: Conversation | Settings) -> dict[str, Any]:
    """`{"conversation": {…}}` or `{"settings": {…}}`, with the names of the row's fields and times in ISO 8601."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    values["owner"] = {"tenant_id": row.owner.tenant_id, "account_id": row.owner.account_id}
    for name in _TIMES & values.keys():
        values[name] = values[name].isoformat()
    return {"conversation" if isinstance(row, Conversation) else "settings": values}


def from_record(record: Mapping[str, Any]) -> Conversation | Settings:
    """Raises KeyError, TypeError or ValueError for what `to_record` did not make."""
    match record:
        case {"conversation": dict(values)}:
            return Conversation(**_read(values))
        case {"settings": dict(values)}:
            return Settings(**{**_read(values), "theme": Theme(values["theme"])})
    raise ValueError("neither a conversation nor settings")


def _read(values: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: datetime.fromisoformat(values[name]) for name in _TIMES if name in values}
    return {**values, "owner": Owner(**values["owner"]), **times}
