"""What the commands on a store have in common: python -m services.<name>.migrate, backup and restore."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

from services.chassis.config import StoreSettings, load
from services.chassis.errors import DomainError
from services.chassis.process import RefusedError


class Checked(Protocol):
    async def check(self) -> None:
        """Raises DomainError UNAVAILABLE, or RefusedError, where the store cannot be used."""


S = TypeVar("S", bound=Checked)


def store_url() -> str:
    return load(StoreSettings).store_url.get_secret_value()


@asynccontextmanager
async def usable_store(name: str, open_store: Callable[[str], AbstractAsyncContextManager[S]]) -> AsyncIterator[S]:
    """The store of a service at PARLEY_STORE_URL. Raises RefusedError also where it is away, or goes away."""
    try:
        async with open_store(store_url()) as store:
            await store.check()
            yield store
    except DomainError as error:
        raise RefusedError(f"{name}: {error.message}") from error


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command's answer
