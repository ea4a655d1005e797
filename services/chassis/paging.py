"""Page tokens: opaque, bound to the list that they were made for, good on every replica, and they grant nothing."""

import base64
import binascii
import hashlib

from services.chassis.errors import DomainError, Reason

_CHECK_BYTES = 8


def seal(scope: str, position: str) -> str:
    """A token for the page after `position` in the list that `scope` names (its method and every filter)."""
    body = position.encode()
    return base64.urlsafe_b64encode(_check(scope, body) + body).decode().rstrip("=")


def unseal(scope: str, token: str) -> str | None:
    """The position, or None for the empty token of a first page. Raises INVALID_PAGE_TOKEN for anything else."""
    if not token:
        return None
    try:
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        check, body = sealed[:_CHECK_BYTES], sealed[_CHECK_BYTES:]
        if check == _check(scope, body):
            return body.decode()
    except (binascii.Error, ValueError):
        pass  # refused below, as every other token that we did not make
    raise DomainError(Reason.INVALID_PAGE_TOKEN, "The page token does not belong to this list.")


def _check(scope: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, key=hashlib.blake2b(scope.encode()).digest(), digest_size=_CHECK_BYTES).digest()
