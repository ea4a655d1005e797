"""UUIDv7: ids that sort by the time they were made at (RFC 9562)."""

import re
from datetime import UTC, datetime

import uuid_utils

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id() -> str:
    return str(uuid_utils.uuid7())


def is_id(value: str) -> bool:
    """Whether `value` is a UUIDv7 in lower case."""
    return _UUID7.fullmatch(value) is not None


def time_of(uuid7: str) -> datetime:
    """The time in the id, to the millisecond."""
    return datetime.fromtimestamp(int(uuid7[:8] + uuid7[9:13], 16) / 1000, UTC)
