"""Configuration from PARLEY_* environment variables: typed, frozen, read once; the only reader of the environment."""

import os
import sys
from collections.abc import Collection, Mapping
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "PARLEY_"


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A comma-separated list."""


def _require_url(value: SecretStr) -> SecretStr:
    try:
        urlsplit(value.get_secret_value())
    except ValueError:  # whose words may show the password
        raise ValueError("is no URL: what is special in a user name or a password is %-escaped") from None
    return value


SecretUrl = Annotated[SecretStr, AfterValidator(_require_url)]
"""A URL that may hold a password."""

Address = Annotated[str, Field(pattern=r"^(dns:///|ipv4:|unix:)?[^\s]+$")]
"""A gRPC target: `host:port`, `dns:///name:port` for all addresses of a name, or `ipv4:a:1,b:2` for several."""


class Settings(BaseSettings):
    """The base of every configuration: the field `history_address` is read from PARLEY_HISTORY_ADDRESS."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)


class ServiceSettings(Settings):
    """What every service can be told."""

    listen: str = "127.0.0.1:0"
    """Where the server listens; port 0 takes a free one."""
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    reflection: bool = False
    """Whether the server describes itself to gRPC tools."""
    drain_seconds: float = Field(0, ge=0, le=600)
    """Between turning unready and closing the listener: as long as endpoints need to let go."""
    grace_seconds: float = Field(10, ge=0, le=600)
    """For calls in flight to end, after the listener closed."""
    max_concurrent_calls: int = Field(10_000, ge=1)
    """More are refused at once with RESOURCE_EXHAUSTED."""


class PeerSettings(Settings):
    """What a service needs to be known by the others and to know who is asking."""

    auth_address: Address
    service_secret: SecretStr = Field(min_length=16)
    """Proves to auth which service this is."""


class StoreSettings(Settings):
    """What a service needs to reach its store."""

    store_url: SecretUrl
    """sqlite:///path of a file, or the address of a server; `docs/operating.md` lists the kinds."""


S = TypeVar("S", bound=Settings)


def load(kind: type[S]) -> S:
    """Reads the configuration, or names everything wrong with it and exits with status 2."""
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = "".join(f"{PREFIX}{part}: " for part in problem["loc"][:1]).upper()
            print(f"{name}{problem['msg']}", file=sys.stderr)  # noqa: T201 - before there is a log
        sys.exit(2)


def describe(settings: Settings) -> dict[str, str]:
    """The settings as they may be shown: secrets are masked."""
    return {name: str(value) for name, value in settings.model_dump().items()}


def child_environment(values: Mapping[str, str], *, without: Collection[str] = ()) -> dict[str, str]:
    """This process's environment with `values` on top, for a process that it starts."""
    own = {name: value for name, value in os.environ.items() if name not in without}
    return {**own, **values}
