"""The command `python -m services.<name>.migrate`."""

import asyncio
from collections.abc import Awaitable, Callable

from services.chassis.command import say
from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError
from services.chassis.schema import Schema

Migrate = Callable[[], Awaitable[tuple[Schema, Schema]]]
"""Brings a schema up to date; returns it as it was before and as it is. Others may do the same at the same time."""

PATIENCE_SECONDS = 60.0
"""How long a store that is away is waited for: it may have been started beside this command."""
PAUSE_SECONDS = 1.0


async def migrate_store(name: str, migrate: Migrate) -> None:
    """Migrates the store of a service, and says what was done. Raises RefusedError if it stays away."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            before, after = await _once_it_answers(name, migrate)
    except TimeoutError:
        raise RefusedError(f"{name}: the store did not answer for {PATIENCE_SECONDS:.0f} s.") from None
    if before == after:
        say(f"{name}: schema {after.version} is up to date")
    else:
        say(f"{name}: schema {before.version} -> {after.version}")


async def _once_it_answers(name: str, migrate: Migrate) -> tuple[Schema, Schema]:
    waiting = False
    while True:
        try:
            return await migrate()
        except DomainError as error:
            if error.reason is not Reason.UNAVAILABLE:
                raise
            if not waiting:
                say(f"{name}: waiting for the store. {error.message}")
            waiting = True
        await asyncio.sleep(PAUSE_SECONDS)
