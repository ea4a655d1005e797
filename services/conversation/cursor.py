"""Cursors: where a reader is in a reply. An offset into its UTF-8, so it is good on any replica and at any time."""

import base64
import binascii
import uuid
from functools import lru_cache

from services.chassis.errors import DomainError, Reason

_VERSION = 1
_OFFSET_BYTES = 4


def seal(message_id: str, offset: int) -> str:
    return base64.urlsafe_b64encode(_head(message_id) + offset.to_bytes(_OFFSET_BYTES)).decode()


def unseal(message_id: str, cursor: str) -> int:
    """The offset in bytes; 0 for the empty cursor. Raises INVALID_CURSOR for one that is not of this reply."""
    if not cursor:
        return 0
    try:
        body = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise invalid_cursor() from None
    head = _head(message_id)
    if len(body) != len(head) + _OFFSET_BYTES or not body.startswith(head):
        raise invalid_cursor()
    return int.from_bytes(body[len(head) :])


@lru_cache(maxsize=8192)
def _head(message_id: str) -> bytes:
    """Kept for the replies that are read: each has a new cursor every tick."""
    return bytes([_VERSION]) + uuid.UUID(message_id).bytes


def invalid_cursor() -> DomainError:
    return DomainError(Reason.INVALID_CURSOR, "The cursor does not belong to this reply.")
