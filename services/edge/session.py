"""Who is asking: the credential that a client shows, and the caller that it stands for."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from grpc import StatusCode

from parley.auth.v1.token_service_pb2 import ExchangeTokenResponse
from services.chassis.errors import CODE_OF, DomainError, Reason
from services.chassis.identity import Caller, KeySource, TokenSubject, verify_inner
from services.chassis.tokens import Life, Tokens
from services.edge.mesh import NAME

MAX_CREDENTIAL_LENGTH = 4096
_NOT_A_CREDENTIAL = (StatusCode.INVALID_ARGUMENT, StatusCode.UNAUTHENTICATED, StatusCode.NOT_FOUND)


@dataclass(frozen=True, slots=True)
class Credential:
    """An API key, an access token, or the refresh token in a session cookie."""

    secret: str = field(repr=False)
    from_cookie: bool = False


def bearer(authorization: object) -> Credential | None:
    """The credential of an `Authorization` value; None if there is no such value."""
    if authorization is None or authorization == "":
        return None
    scheme, _, secret = authorization.partition(" ") if isinstance(authorization, str) else ("", "", "")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not 0 < len(secret) <= MAX_CREDENTIAL_LENGTH or not secret.isascii():
        raise unauthenticated()
    return Credential(secret)


class SessionCookie:
    """The browser's credential: out of reach of scripts, sent to this host alone."""

    def __init__(self, secure: bool) -> None:
        self.name = "__Host-parley" if secure else "parley"
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    def read(self, cookies: Mapping[str, str]) -> Credential | None:
        secret = cookies.get(self.name, "")
        usable = 0 < len(secret) <= MAX_CREDENTIAL_LENGTH and secret.isascii()
        return Credential(secret, from_cookie=True) if usable else None

    def set(self, secret: str, until: float) -> str:
        """The Set-Cookie value that keeps `secret` until a Unix time."""
        return f"{self.name}={secret}; Max-Age={max(0, int(until - time.time()))}{self._attributes}"

    def clear(self) -> str:
        return f"{self.name}=; Max-Age=0{self._attributes}"


class Sessions:
    """The callers of recent credentials, so that most requests ask auth nothing."""

    def __init__(self, tokens: Tokens, keys: KeySource, size: int) -> None:
        self._tokens, self._keys, self._size = tokens, keys, size
        self._known: OrderedDict[bytes, tuple[Caller, Life]] = OrderedDict()

    async def caller(self, credential: Credential) -> Caller:
        """Whom the credential stands for. Raises UNAUTHENTICATED, or what auth answered."""
        key = _key(credential)
        known = self._known.get(key)
        if known and known[1].lasts:
            self._known.move_to_end(key)
            return known[0]
        self._known.pop(key, None)
        asked = time.monotonic()
        answer = await self._exchange(credential)
        caller = await verify_inner(answer.token, NAME, self._keys)
        if not caller.account_id:
            raise unauthenticated()
        self._known[key] = (caller, Life.of(answer.token, asked))
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return caller

    async def _exchange(self, credential: Credential) -> ExchangeTokenResponse:
        try:
            return await self._tokens.exchange(NAME, TokenSubject(credential.secret))
        except DomainError as error:
            # Whatever auth has against it, to the client it is a credential that does not work.
            if CODE_OF[error.reason] in _NOT_A_CREDENTIAL:
                raise unauthenticated() from None
            raise

    def forget(self, credential: Credential) -> None:
        """The credential was revoked."""
        self._known.pop(_key(credential), None)

    def forget_all_of(self, who: Caller) -> None:
        """None of an account's credentials works any more."""
        gone = [key for key, (caller, _) in self._known.items() if caller.account_id == who.account_id]
        for key in gone:
            del self._known[key]


def unauthenticated() -> DomainError:
    return DomainError(Reason.UNAUTHENTICATED, "The credentials are missing, expired or not valid.")


def _key(credential: Credential) -> bytes:
    return hashlib.sha256(credential.secret.encode()).digest()
