"""What every store of auth promises.

Every method may raise DomainError UNAVAILABLE; a writing one then may or may not have written. When a writing one
returns, what it wrote survives any crash. Of several replicas that write at once, each sees the others' writes whole.
Nothing is written for an account that is deleted, whatever comes at the same time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.auth.records import (
    Account,
    ApiKey,
    Balance,
    Credential,
    KeyCreating,
    Owner,
    Reservation,
    Reserving,
    Session,
    SigningKey,
)


class AccountStore(Protocol):
    async def create(self, account: Account, password_hash: str) -> bool:
        """Writes an account and its password's hash; False, and nothing is written, if the e-mail address is taken."""

    async def get(self, owner: Owner) -> Account | None: ...

    async def credential(self, email: str) -> Credential | None: ...

    async def replace_password_hash(self, owner: Owner, old: str, new: str) -> bool:
        """Writes a hash over that one; False if another is there."""

    async def close(self, owner: Owner, now: datetime) -> bool:
        """Closes an account; the first time stays. False if there is none."""

    async def delete(self, owner: Owner, subject: str) -> Mapping[str, int] | None:
        """Deletes a closed account with everything that is its own, and its attempts to sign in, which are `subject`'s.

        Returns how many rows of each kind there were: zeros where there is no such account; None, and nothing is
        deleted, where it is open.
        """


class AttemptStore(Protocol):
    async def attempt(self, subject: str, now: datetime, window_end: datetime) -> tuple[int, datetime]:
        """Counts an attempt and returns how many there were in its window, and when that ends.

        The first attempt opens a window until `window_end`; one that has ended is forgotten.
        """

    async def clear(self, subject: str) -> None:
        """Forgets the attempts."""


class ApiKeyStore(Protocol):
    async def create(self, key: ApiKey, limit: int) -> KeyCreating:
        """Writes a key; nothing is written if the account has `limit` keys that are not revoked, or is closed."""

    async def find(self, secret_hash: bytes) -> ApiKey | None:
        """Reads a key, also one that is revoked or has expired."""

    async def list(self, owner: Owner, *, before: str | None, limit: int) -> Sequence[ApiKey]:
        """Reads up to `limit` keys that are not revoked, by descending id, below `before` or from the highest."""

    async def revoke(self, owner: Owner, api_key_id: str, now: datetime) -> bool:
        """Revokes a key; the first time stays. False if the owner never had it."""


class SessionStore(Protocol):
    async def start(self, session: Session) -> bool:
        """Writes a session, and forgets some of those that expired before it was refreshed.

        False, and nothing is written, if the account is closed.
        """

    async def get(self, session_id: str) -> Session | None:
        """Reads a session, also one that ended or has expired."""

    async def refresh(self, session: Session, token_hash: bytes) -> bool:
        """Writes the token, refresh and expire time of a session whose token is that one; False if it is another or
        the session has ended.

        Of several refreshes of one token exactly one returns True.
        """

    async def end(self, session_id: str, now: datetime) -> None:
        """Ends a session; the first time stays. Ending none succeeds."""


class SigningKeyStore(Protocol):
    async def all(self) -> Sequence[SigningKey]:
        """Reads the keys by ascending generation."""

    async def add(self, key: SigningKey) -> bool:
        """Writes a key; False, and nothing is written, if its generation is there. Of several, exactly one counts."""

    async def drop(self, below: int) -> None:
        """Deletes the keys of generations below that one."""


class LedgerStore(Protocol):
    """Reservations that started before `live_since` and are open count for nothing."""

    async def reserve(
        self, wanted: Reservation, *, limit: int | None, live_since: datetime
    ) -> tuple[Reserving, Balance]:
        """Writes an open reservation if used, reserved and wanted tokens of its period are `limit` together, or less.

        What was reserved or settled before with the same owner, model and tokens is RESERVED and changes nothing; with
        others it is a CONFLICT. What was released, or is open no longer, is reserved anew. Nothing comes between the
        look at the balance and the write. The balance is that of the period, afterwards. A closed account reserves
        nothing: CLOSED.
        """

    async def settle(
        self, owner: Owner, reservation_id: str, *, prompt_tokens: int, completion_tokens: int, now: datetime
    ) -> bool:
        """Settles a reservation that is open or released, and counts its tokens in its period; a settled one stays.

        False if the owner has none with that id.
        """

    async def release(self, owner: Owner, reservation_id: str, now: datetime) -> None:
        """Releases an open reservation. Any other, and none, stays."""

    async def get(self, reservation_id: str) -> Reservation | None: ...

    async def balance(self, owner: Owner, period: str, live_since: datetime) -> Balance: ...


class Probe(Protocol):
    async def check(self) -> None:
        """Raises DomainError UNAVAILABLE while the store cannot be used, and RefusedError if it never can."""


@dataclass(frozen=True, slots=True)
class Store:
    """All that auth remembers, in one place."""

    accounts: AccountStore
    attempts: AttemptStore
    api_keys: ApiKeyStore
    sessions: SessionStore
    signing_keys: SigningKeyStore
    ledger: LedgerStore
    probe: Probe
