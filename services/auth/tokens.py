"""Tokens: what people show the edge (RFC 9068) and what services show each other, signed with Ed25519."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from joserfc import jwt
from joserfc.jws import extract_compact

from services.auth.clock import Clock
from services.auth.keys import KeyRing
from services.auth.records import Account, Owner
from services.chassis.identity import ALGORITHMS, INNER_TYPE, ISSUER
from services.chassis.ids import new_id

ACCESS_TYPE = "at+jwt"
ACCESS_AUDIENCE = "parley"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a token speaks for."""

    owner: Owner
    roles: tuple[str, ...]
    proof_time: datetime
    """When the credential behind it was checked."""


@dataclass(frozen=True, slots=True)
class Token:
    text: str = field(repr=False)
    expire_time: datetime


class Mint:
    def __init__(self, ring: KeyRing, clock: Clock, *, access: timedelta, inner: timedelta) -> None:
        """`access` and `inner` are how long each kind of token lives."""
        self._ring, self._clock = ring, clock
        self._access, self._inner = access, inner

    async def access_token(self, account: Account, session_id: str) -> Token:
        """For calls to the edge, while the session lasts."""
        claims = {**_about(account.owner, account.roles), "aud": ACCESS_AUDIENCE, "sid": session_id}
        return await self._sign(ACCESS_TYPE, self._access, claims)

    async def inner_token(self, service: str, audience: str, subject: Subject | None) -> Token:
        """For calls of `service` to `audience`, for an account or (None) for the service itself."""
        claims: dict[str, object] = {"aud": audience, "act": {"sub": service}}
        if subject:
            claims |= _about(subject.owner, subject.roles) | {"auth_time": int(subject.proof_time.timestamp())}
        return await self._sign(INNER_TYPE, self._inner, claims)

    async def _sign(self, kind: str, lifetime: timedelta, claims: dict[str, object]) -> Token:
        key_id, key = await self._ring.current()
        issued = int(self._clock().timestamp())
        expires = issued + int(lifetime.total_seconds())
        header = {"alg": ALGORITHMS[0], "kid": key_id, "typ": kind}
        body = {"iss": ISSUER, "iat": issued, "exp": expires, "jti": new_id(), **claims}
        return Token(jwt.encode(header, body, key, algorithms=ALGORITHMS), datetime.fromtimestamp(expires, UTC))


def proof_time(token: str) -> datetime:
    """The `auth_time` of a token that was verified."""
    claims = json.loads(extract_compact(token.encode()).payload)
    return datetime.fromtimestamp(claims["auth_time"], UTC)


def _about(owner: Owner, roles: tuple[str, ...]) -> dict[str, object]:
    return {"sub": owner.account_id, "tenant": owner.tenant_id, "roles": list(roles)}
