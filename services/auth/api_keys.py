"""API keys: shown once, stored as a hash."""

from collections.abc import Sequence
from datetime import datetime

from services.auth.clock import Clock
from services.auth.opaque import digest, new_secret
from services.auth.records import ApiKey, KeyCreating, Owner
from services.auth.refusals import closed
from services.auth.store import ApiKeyStore
from services.chassis.errors import DomainError, Reason, not_found
from services.chassis.ids import new_id

PREFIX = "pk_"
_SHOWN_CHARACTERS = len(PREFIX) + 6
"""36 bits tell an account's keys apart and leave 220 to guess."""


class ApiKeys:
    def __init__(self, store: ApiKeyStore, clock: Clock, *, limit: int) -> None:
        """An account has up to `limit` keys that are not revoked."""
        self._store, self._clock, self._limit = store, clock, limit

    async def create(self, owner: Owner, display_name: str, expire_time: datetime | None) -> tuple[ApiKey, str]:
        """A new key and its secret. Raises LIMIT_EXCEEDED and ACCOUNT_CLOSED."""
        secret = new_secret(PREFIX)
        key = ApiKey(owner, new_id(), display_name, secret[:_SHOWN_CHARACTERS], digest(secret), expire_time)
        match await self._store.create(key, self._limit):
            case KeyCreating.CREATED:
                return key, secret
            case KeyCreating.CLOSED:
                raise closed()
            case KeyCreating.EXCEEDED:
                raise DomainError(
                    Reason.LIMIT_EXCEEDED,
                    f"An account has up to {self._limit} API keys. Revoke one first.",
                    metadata={"limit": str(self._limit)},
                )

    async def list(self, owner: Owner, *, before: str | None, limit: int) -> Sequence[ApiKey]:
        """Up to `limit` keys, newest first, older than `before`."""
        return await self._store.list(owner, before=before, limit=limit)

    async def revoke(self, owner: Owner, api_key_id: str) -> None:
        """Raises NOT_FOUND."""
        if not await self._store.revoke(owner, api_key_id, self._clock()):
            raise not_found("API key")

    async def owner_of(self, secret: str) -> Owner:
        """Whose key it is. Raises UNAUTHENTICATED if it is nobody's, revoked or expired."""
        key = await self._store.find(digest(secret))
        if key is None or key.revoke_time or (key.expire_time and key.expire_time <= self._clock()):
            raise DomainError(Reason.UNAUTHENTICATED, "The API key is not valid.")
        return key.owner
