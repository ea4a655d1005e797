"""What can be turned in auth."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from services.chassis.config import ServiceSettings, StoreSettings


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [pair.strip().partition("=") for pair in value.split(",") if pair.strip()]
    names = [name for name, _, _ in pairs]
    if len(set(names)) != len(names) or not all(name and secret for name, _, secret in pairs):
        raise ValueError("must be name=secret,… with each name once")
    return {name: secret for name, _, secret in pairs}


ServiceSecrets = Annotated[
    dict[str, Annotated[SecretStr, Field(min_length=16)]], NoDecode, BeforeValidator(_split), Field(min_length=1)
]
"""A comma-separated list of name=secret."""


class Config(ServiceSettings, StoreSettings):
    store_connections: int = Field(4, ge=1, le=64)
    """The most connections to its database that are used at once."""
    signing_secret: SecretStr = Field(min_length=32)
    """Opens the stored signing keys. With another one, auth does not start."""
    service_secrets: ServiceSecrets
    """Who may ask for tokens: every service of the mesh, and "operator" for setting it up."""
    registration: Literal["closed", "open"] = "closed"
    """Whether people may create accounts for themselves."""
    monthly_tokens: int = Field(0, ge=0)
    """The most tokens that an account may use in a calendar month; 0 for no limit."""

    access_token_seconds: int = Field(600, ge=60, le=3600)
    refresh_token_days: int = Field(30, ge=1, le=365)
    """A session that is not refreshed for so long ends."""
    refresh_grace_seconds: int = Field(60, ge=0, le=600)
    """After this, a spent refresh token that is used again is taken for a stolen one, and its session ends."""
    inner_token_seconds: int = Field(60, ge=30, le=60)
    inner_chain_seconds: int = Field(600, ge=60)
    """How long inner tokens may follow from one another after the user's own credential was checked."""
    signing_key_days: float = Field(30, gt=0)
    """How long a key signs."""
    signing_key_publish_seconds: int = Field(3600, ge=600)
    """How long before it signs a key is published."""

    sign_in_attempts: int = Field(10, ge=1)
    """The most passwords tried for one e-mail address in a window."""
    sign_in_window_seconds: int = Field(900, ge=1)
    password_iterations: int = Field(3, ge=1)
    password_memory_kib: int = Field(65_536, ge=8)
    password_lanes: int = Field(4, ge=1)
    password_threads: int = Field(2, ge=1)
    """Passwords worked on at once; each takes the memory above."""
    password_queue: int = Field(64, ge=1)
    """Passwords worked on or waiting; more are refused."""

    api_keys_per_account: int = Field(50, ge=1)
    reservation_hours: float = Field(24, gt=0)
    """An older reservation that was never closed no longer counts."""
