"""What auth remembers."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Owner:
    tenant_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class Account:
    owner: Owner
    email: str
    """In lower case; unique."""
    display_name: str
    roles: tuple[str, ...]
    close_time: datetime | None = None
    """From when on nobody signs in to it; then it is deleted."""


@dataclass(frozen=True, slots=True)
class Credential:
    account: Account
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKey:
    owner: Owner
    api_key_id: str
    display_name: str
    secret_prefix: str
    secret_hash: bytes = field(repr=False)
    expire_time: datetime | None
    revoke_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    owner: Owner
    session_id: str
    token_hash: bytes = field(repr=False)
    """Of the one refresh token that is good now."""
    refresh_time: datetime
    """When that token was given out."""
    expire_time: datetime
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    generation: int
    """1, 2, 3 …"""
    key_id: str
    public_key: bytes
    sealed_private_key: str = field(repr=False)
    activate_time: datetime
    """From when on it signs, until the next one does."""


class ReservationState(StrEnum):
    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Reservation:
    owner: Owner
    reservation_id: str
    period: str
    """The month that it counts in, as 2026-11."""
    model: str
    tokens: int
    start_time: datetime
    state: ReservationState = ReservationState.OPEN
    prompt_tokens: int = 0
    completion_tokens: int = 0
    close_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's tokens in one period."""

    used_tokens: int
    reserved_tokens: int


class Reserving(StrEnum):
    """What became of an attempt to reserve."""

    RESERVED = "reserved"
    """Now or before."""
    EXCEEDED = "exceeded"
    CONFLICT = "conflict"
    """The id is another reservation's."""
    CLOSED = "closed"
    """The account is closed or not there."""


class KeyCreating(StrEnum):
    """What became of an attempt to create an API key."""

    CREATED = "created"
    EXCEEDED = "exceeded"
    CLOSED = "closed"
    """The account is closed or not there."""
