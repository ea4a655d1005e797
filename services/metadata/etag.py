"""Etags. The next one follows from the one before and the change, so that a repeated update is known as itself."""

import hashlib
import json
import secrets
from collections.abc import Mapping

from services.metadata.store import Owner

Change = Mapping[str, object]
"""The new values of the fields that an update names."""


def first_etag() -> str:
    """Of a new conversation: unlike that of any other, under the same id before or after."""
    return secrets.token_hex(16)


def unwritten_etag(owner: Owner) -> str:
    """Of settings that were never written."""
    return digest({"tenant_id": owner.tenant_id, "account_id": owner.account_id})


def next_etag(etag: str, change: Change) -> str:
    return digest({"etag": etag, "change": change})


def digest(content: Mapping[str, object]) -> str:
    """The same for equal content, whatever the order of its names."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
