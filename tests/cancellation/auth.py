"""API keys on a shelf, each with a reservation of the same name, and the store that keeps them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from services.auth.records import Account, ApiKey, KeyCreating, Owner, Reservation, Reserving
from services.auth.store import Store
from services.auth.stores import open_store
from tests.cancellation.shelf import Shelf

SOME = 5
CONNECTIONS = 4


class AuthShelf:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = set()
        """Owners whose account is there."""

    async def check(self) -> None:
        await self._store.probe.check()

    async def put(self, owner: str, key: str, value: str) -> None:
        who, now = Owner("default", owner), datetime.now(UTC)
        if owner not in self._known:
            await self._store.accounts.create(Account(who, f"{owner}@example.com", "", ()), "")
            self._known.add(owner)
        wanted = Reservation(who, key, "2026-11", value, 1, now)
        outcome, _ = await self._store.ledger.reserve(wanted, limit=None, live_since=now - timedelta(days=1))
        assert outcome is Reserving.RESERVED
        created = await self._store.api_keys.create(ApiKey(who, key, value, "", key.encode(), None), 1_000_000)
        assert created is KeyCreating.CREATED

    async def get(self, owner: str, key: str) -> str | None:
        found = await self._store.api_keys.find(key.encode())
        reserved = await self._store.ledger.get(key)
        if found is None or reserved is None or found.owner.account_id != owner:
            return None
        return found.display_name if found.display_name == reserved.model else reserved.model

    async def some(self, owner: str) -> Mapping[str, str]:
        keys = await self._store.api_keys.list(Owner("default", owner), before=None, limit=SOME)
        return {key.api_key_id: key.display_name for key in keys}


@asynccontextmanager
async def open_auth(url: str) -> AsyncIterator[Shelf]:
    async with open_store(url, CONNECTIONS) as store:
        yield AuthShelf(store)
