"""Sessions: a sign-in that lasts, by a refresh token that each use replaces."""

import base64
import binascii
import hmac
import uuid
from dataclasses import replace
from datetime import timedelta

from services.auth.clock import Clock
from services.auth.opaque import digest, new_secret
from services.auth.records import Account, Owner, Session
from services.auth.refusals import closed, gone
from services.auth.store import AccountStore, SessionStore
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id

PREFIX = "prt_"
_ID_CHARACTERS = 22
"""16 bytes in base64."""


class Sessions:
    def __init__(
        self, store: SessionStore, accounts: AccountStore, clock: Clock, *, lifetime: timedelta, grace: timedelta
    ) -> None:
        """A session ends `lifetime` after its last refresh. A spent token that comes back later than `grace` after it
        was replaced was stolen, by whoever used it first or second, and ends the session, too."""
        self._store, self._accounts, self._clock = store, accounts, clock
        self._lifetime, self._grace = lifetime, grace

    async def start(self, owner: Owner) -> tuple[Session, str]:
        """A new session and its refresh token. Raises ACCOUNT_CLOSED."""
        session_id, now = new_id(), self._clock()
        token = _new_token(session_id)
        session = Session(owner, session_id, digest(token), refresh_time=now, expire_time=now + self._lifetime)
        if not await self._store.start(session):
            raise closed()
        return session, token

    async def refresh(self, token: str) -> tuple[Account, Session, str]:
        """Whose session it is, the session, and its next refresh token. Raises UNAUTHENTICATED and ACCOUNT_CLOSED."""
        session = await self._alive(_session_id(token))
        account = await self._accounts.get(session.owner)
        if account is None:
            raise gone()
        if account.close_time:
            raise closed()  # the token stays, for its owner to go on with the deletion
        now = self._clock()
        following = _new_token(session.session_id)
        renewed = replace(session, token_hash=digest(following), refresh_time=now, expire_time=now + self._lifetime)
        if await self._store.refresh(renewed, digest(token)):
            return account, renewed, following
        if now - session.refresh_time > self._grace:
            await self._store.end(session.session_id, now)
        raise _refused()

    async def end(self, token: str) -> None:
        """Ends the session of a refresh token that was not replaced; any other token does nothing."""
        session_id = _session_id(token)
        session = await self._store.get(session_id) if session_id else None
        if session and hmac.compare_digest(session.token_hash, digest(token)):
            await self._store.end(session_id, self._clock())

    async def of_token(self, token: str) -> Session:
        """The session of a refresh token that was not replaced. Raises UNAUTHENTICATED."""
        session = await self._alive(_session_id(token))
        if not hmac.compare_digest(session.token_hash, digest(token)):
            raise _refused()
        return session

    async def require(self, session_id: str) -> Session:
        """The session with this id. Raises UNAUTHENTICATED if it ended or expired."""
        return await self._alive(session_id)

    async def _alive(self, session_id: str) -> Session:
        session = await self._store.get(session_id) if session_id else None
        if session is None or session.end_time or session.expire_time <= self._clock():
            raise _refused()
        return session


def _new_token(session_id: str) -> str:
    # The id is in it so that a token that was replaced still shows whose it was.
    name = base64.urlsafe_b64encode(uuid.UUID(session_id).bytes).decode().rstrip("=")
    return new_secret(PREFIX + name)


def _session_id(token: str) -> str:
    """The id in the token, or "" where there is none."""
    name = token.removeprefix(PREFIX)[:_ID_CHARACTERS]
    try:
        return str(uuid.UUID(bytes=base64.urlsafe_b64decode(name + "==")))
    except (binascii.Error, ValueError):
        return ""


def _refused() -> DomainError:
    return DomainError(Reason.UNAUTHENTICATED, "The session has ended.")
