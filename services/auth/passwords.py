"""Passwords: argon2id on threads of their own, so that neither calls nor memory pile up behind them."""

import asyncio
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.chassis.errors import DomainError, Reason

T = TypeVar("T")


class Passwords:
    """Hashes and verifies while its `async with` block runs."""

    def __init__(self, hasher: PasswordHasher, *, threads: int, queue: int) -> None:
        """Up to `queue` passwords are worked on or wait; more are refused."""
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(threads, "password")
        self._places = threading.BoundedSemaphore(queue)
        self._nobodys = ""

    async def __aenter__(self) -> Self:
        self._nobodys = await self.hash(secrets.token_urlsafe())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def hash(self, password: str) -> str:
        """Raises DomainError RATE_LIMITED."""
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether they belong together. None, nobody's hash, takes as long. Raises DomainError RATE_LIMITED."""
        matches = await self._run(lambda: self._matches(password_hash or self._nobodys, password))
        return matches and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _normal(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise DomainError(Reason.RATE_LIMITED, "Too many are signing in at once.", retry_after=1)
        # The place is free when the thread is, not when a caller who went away stops waiting.
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)


def _normal(password: str) -> str:
    """The same password is the same text on every keyboard (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)
