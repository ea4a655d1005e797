"""Signing in by e-mail address and password."""

import hashlib
from datetime import timedelta

from services.auth.clock import Clock
from services.auth.emails import is_email, normalized
from services.auth.passwords import Passwords
from services.auth.records import Account
from services.auth.refusals import closed
from services.auth.store import AccountStore, AttemptStore
from services.chassis.errors import DomainError, Reason

MAX_PASSWORD = 1_024


def subject_of(address: str) -> str:
    """Under what the attempts for an address are counted: what people type here may be no address at all."""
    return hashlib.sha256(address.encode()).hexdigest()


class SignIn:
    def __init__(
        self,
        accounts: AccountStore,
        attempts: AttemptStore,
        passwords: Passwords,
        clock: Clock,
        *,
        limit: int,
        window: timedelta,
    ) -> None:
        """Up to `limit` passwords are tried for one address in a window that the first one opens."""
        self._accounts, self._attempts, self._passwords, self._clock = accounts, attempts, passwords, clock
        self._limit, self._window = limit, window

    async def account(self, email: str, password: str) -> Account:
        """Whose they are. Takes as long where there is no account.

        Raises INVALID_CREDENTIALS, RATE_LIMITED, and ACCOUNT_CLOSED where they are right.
        """
        address = normalized(email)
        if not is_email(email) or len(password) > MAX_PASSWORD:
            raise _invalid()
        subject = subject_of(address)
        await self._count(subject)
        credential = await self._accounts.credential(address)
        matches = await self._passwords.verify(credential.password_hash if credential else None, password)
        if credential is None or not matches:
            raise _invalid()
        await self._attempts.clear(subject)
        if credential.account.close_time:
            raise closed()
        if self._passwords.is_outdated(credential.password_hash):
            renewed = await self._passwords.hash(password)
            await self._accounts.replace_password_hash(credential.account.owner, credential.password_hash, renewed)
        return credential.account

    async def _count(self, subject: str) -> None:
        # Before the password is looked at, so that guesses at the same time count, too.
        now = self._clock()
        attempts, window_end = await self._attempts.attempt(subject, now, now + self._window)
        if attempts > self._limit:
            wait = (window_end - now).total_seconds()
            raise DomainError(Reason.RATE_LIMITED, "Too many attempts to sign in.", retry_after=wait)


def _invalid() -> DomainError:
    return DomainError(Reason.INVALID_CREDENTIALS, "The e-mail address or the password is not right.")
