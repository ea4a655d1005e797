"""Who is asking: the caller of the call that runs now, and the tokens that say so inside the mesh."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import extract_compact

from services.chassis.errors import DomainError, Reason

ISSUER = "parley"
ALGORITHMS = ["Ed25519"]
LEEWAY_SECONDS = 5
SET_BACK_SECONDS = 3600
"""By which a clock may be behind the one of who issued a token."""
"""By so much may the clocks of two machines differ."""
VERIFIED_TOKENS = 10_000
"""The most verified tokens that a server remembers."""
INNER_TYPE = "parley-inner+jwt"
"""The `typ` of tokens between services, so that a user's access token is never taken for one."""


@dataclass(frozen=True, slots=True)
class TokenSubject:
    """Acting for whoever a token names."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReservationSubject:
    """Acting for the account that a reply's usage is reserved for, after the call that asked for it has ended."""

    reservation_id: str


@dataclass(frozen=True, slots=True)
class Caller:
    """An account as one service acts for it, or (with no account) the service itself."""

    service: str
    """The service that made the call."""
    tenant_id: str = ""
    account_id: str = ""
    roles: frozenset[str] = frozenset()
    subject: TokenSubject | ReservationSubject | None = field(default=None, compare=False)
    """What proves it to auth when this service calls onward; None where it can only act for itself."""

    def require_account(self) -> str:
        """The account's id; a service that acts for itself owns nothing and is refused."""
        if not self.account_id:
            raise DomainError(Reason.PERMISSION_DENIED, "This call must be made for an account.")
        return self.account_id

    def require_service(self, *names: str) -> None:
        if self.account_id or self.service not in names:
            raise DomainError(Reason.PERMISSION_DENIED, "This call is for services of the mesh.")


_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """The caller of the call that runs now."""
    try:
        return _caller.get()
    except LookupError:
        raise DomainError(Reason.UNAUTHENTICATED, "The call names no caller.") from None


def act_for(who: Caller) -> None:
    """Makes `who` the caller of the rest of this task."""
    _caller.set(who)


@contextmanager
def acting_for(who: Caller) -> Iterator[None]:
    """Makes `who` the caller of what runs inside."""
    token = _caller.set(who)
    try:
        yield
    finally:
        _caller.reset(token)


class KeySource(Protocol):
    """Where the public keys of token signatures come from."""

    async def key(self, key_id: str) -> OKPKey | None:
        """The key, or None if auth does not know it. Raises DomainError if auth cannot be asked."""


async def verify_inner(token: str, audience: str, keys: KeySource) -> Caller:
    """The caller that a token between services names. Raises what `verify` does."""
    return _caller_named(await verify(token, INNER_TYPE, audience, keys), token)


def _caller_named(claims: dict[str, object], token: str) -> Caller:
    act, roles = claims.get("act"), claims.get("roles", [])
    if not isinstance(act, dict) or not isinstance(act.get("sub"), str) or not isinstance(roles, list):
        raise _refused()
    return Caller(
        service=act["sub"],
        tenant_id=str(claims.get("tenant", "")),
        account_id=str(claims.get("sub", "")),
        roles=frozenset(roles),
        subject=TokenSubject(token),
    )


class Verifier:
    """Verifies tokens between services, each once: a peer uses the same one for many calls."""

    def __init__(self, audience: str, keys: KeySource) -> None:
        self._audience, self._keys = audience, keys
        self._verified: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    async def caller(self, token: str) -> Caller:
        """The caller that the token names. Raises what `verify` does."""
        who, until = self._verified.get(token, (None, 0.0))
        if who and time.time() < until:
            return who
        claims = await verify(token, INNER_TYPE, self._audience, self._keys)
        who = _caller_named(claims, token)
        self._verified[token] = (who, float(str(claims["exp"])))
        if len(self._verified) > VERIFIED_TOKENS:
            self._verified.popitem(last=False)
        return who


def is_inner(token: str) -> bool:
    """Whether a token claims to be one between services; `verify_inner` says whether it is."""
    try:
        return extract_compact(token.encode()).headers().get("typ") == INNER_TYPE
    except (JoseError, ValueError):
        return False


async def verify(token: str, token_type: str, audience: str, keys: KeySource) -> dict[str, object]:
    """The claims of a token of one type for one audience, signed by auth and not expired.

    Raises UNAUTHENTICATED for any other. A token between services that has expired, and is good otherwise, is
    UNAVAILABLE: nobody uses one in the last seconds of its life, so clocks disagree, or a process was held up, and
    neither is a reason to doubt whoever it is for. With a new token, or on another replica, the call may succeed.
    """
    try:
        key = await keys.key(_key_id(token, token_type))
        if key is None:
            raise _refused()
        claims = jwt.decode(token, key, algorithms=ALGORITHMS).claims
        _claims_for(audience).validate({name: value for name, value in claims.items() if name != "exp"})
        _EXPIRY.validate({"exp": claims["exp"]})
    except ExpiredTokenError:
        if token_type == INNER_TYPE:
            raise DomainError(Reason.UNAVAILABLE, "A token between services has expired.", retry_after=1) from None
        raise _refused() from None
    except (JoseError, ValueError, KeyError, TypeError):
        raise _refused() from None
    return claims


def _key_id(token: str, token_type: str) -> str:
    header = extract_compact(token.encode()).headers()
    if header.get("typ") != token_type or not isinstance(header.get("kid"), str):
        raise _refused()
    return str(header["kid"])


class _Claims(jwt.JWTClaimsRegistry):
    def validate_iat(self, value: object) -> None:
        """With patience: a clock that is set back must not make a whole mesh doubt the tokens that it has."""
        super().validate_iat(value - SET_BACK_SECONDS if isinstance(value, int) else value)


_EXPIRY = jwt.JWTClaimsRegistry(leeway=LEEWAY_SECONDS)


def _claims_for(audience: str) -> jwt.JWTClaimsRegistry:
    return _Claims(
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": audience},
    )


def _refused() -> DomainError:
    return DomainError(Reason.UNAUTHENTICATED, "The credentials are missing, expired or not valid.")
