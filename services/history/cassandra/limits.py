"""How large a segment gets."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """When a segment is full. It grows beyond by what is written until the next one is added."""

    messages: int = 1_000
    size: int = 8 * 1024 * 1024
    """Bytes: a segment is read in one piece by compaction and repair, and in part by every page of a conversation."""
    grace_seconds: float = 5.0
    """Between two segments of a conversation: longer than a write may take. See `roller.py`."""
