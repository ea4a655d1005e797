"""Asks auth for tokens and keys: the chassis's one use of a contract, because knowing who is asking is its work."""

import asyncio
import base64
import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import grpc
from joserfc.jwk import OKPKey
from joserfc.jws import extract_compact

from parley.auth.v1 import token_service_pb2 as pb
from parley.auth.v1.token_service_pb2_grpc import TokenServiceStub
from services.chassis.errors import DomainError, Reason, from_rpc
from services.chassis.identity import Caller, ReservationSubject, TokenSubject

CACHED_TOKENS = 10_000
"""The most (account, audience) pairs that a process remembers a token for."""
SPARE_SECONDS = 15.0
"""A token is not used for a call in the last seconds of its life."""
KEYS_SECONDS = 300.0
"""How long the list of keys is used without asking again."""
UNKNOWN_KEY_SECONDS = 1.0
"""How often a token with an unknown key may make this process ask."""
TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Life:
    """How long a token may be used: while both clocks say so. The time of day may be set, here alone or everywhere; the
    monotonic clock knows neither, and lets no token live longer than who issued it meant."""

    until: float
    """On the monotonic clock."""
    expires: float
    """By the time of day."""

    @classmethod
    def of(cls, token: str, asked: float) -> "Life":
        """Of a token that was asked for at that time of the monotonic clock."""
        claims = _claims(token)
        return cls(asked + claims["exp"] - claims["iat"] - SPARE_SECONDS, claims["exp"] - SPARE_SECONDS)

    @property
    def lasts(self) -> bool:
        return self.until > time.monotonic() and self.expires > time.time()


class Tokens:
    """One service's tokens for calls to its peers, kept while they live."""

    def __init__(self, service: str, secret: str, auth: grpc.aio.Channel) -> None:
        self._service, self._secret = service, secret
        self._stub = TokenServiceStub(auth)
        self._cached: OrderedDict[tuple[str, str, str], tuple[str, Life]] = OrderedDict()

    async def token(self, audience: str, who: Caller | None) -> str:
        """A token for a call to `audience`, made for `who` (None: for this service itself). Raises DomainError."""
        key = (audience, who.tenant_id, who.account_id) if who else (audience, "", "")
        cached = self._cached.get(key)
        if cached and cached[1].lasts:
            return cached[0]
        asked = time.monotonic()
        answer = await self.exchange(audience, who.subject if who and who.account_id else None)
        _require_named(answer.token, who)
        self._cached[key] = (answer.token, Life.of(answer.token, asked))
        self._cached.move_to_end(key)
        if len(self._cached) > CACHED_TOKENS:
            self._cached.popitem(last=False)
        return answer.token

    async def exchange(
        self, audience: str, subject: TokenSubject | ReservationSubject | None
    ) -> pb.ExchangeTokenResponse:
        """Asks auth, past the cache."""
        request = pb.ExchangeTokenRequest(service=self._service, service_secret=self._secret, audience=audience)
        match subject:
            case TokenSubject(token):
                request.subject_token = token
            case ReservationSubject(reservation_id):
                request.reservation_id = reservation_id
        try:
            return await self._stub.ExchangeToken(request, timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from None


def _require_named(token: str, who: Caller | None) -> None:
    """The last line against acting for one account with another's token: it must name whom it was asked for."""
    claims = _claims(token)
    named = (claims.get("tenant", ""), claims.get("sub", ""))
    if named != ((who.tenant_id, who.account_id) if who else ("", "")):
        raise DomainError(Reason.PERMISSION_DENIED, "The token is for another account.")


def _claims(token: str) -> dict[str, Any]:
    return dict(json.loads(extract_compact(token.encode()).payload))


class AuthKeys:
    """Auth's public keys, fetched when needed and kept while auth cannot be asked."""

    def __init__(self, auth: grpc.aio.Channel) -> None:
        self._stub = TokenServiceStub(auth)
        self._keys: dict[str, OKPKey] = {}
        self._asked = float("-inf")
        self._asking = asyncio.Lock()
        self._failure: DomainError | None = None
        """Why auth could not be asked the last time."""

    async def key(self, key_id: str) -> OKPKey | None:
        known = key_id in self._keys
        if time.monotonic() - self._asked > (KEYS_SECONDS if known else UNKNOWN_KEY_SECONDS):
            await self._ask()
        if self._failure and key_id not in self._keys:
            raise self._failure
        return self._keys.get(key_id)

    async def _ask(self) -> None:
        asked = self._asked
        async with self._asking:
            if self._asked != asked:
                return  # somebody else just did
            try:
                answer = await self._stub.ListSigningKeys(pb.ListSigningKeysRequest(), timeout=TIMEOUT)
            except grpc.aio.AioRpcError as error:
                self._failure = from_rpc(error)
            else:
                self._failure = None
                self._keys = {key.key_id: public_key(key.public_key) for key in answer.keys}
            finally:
                self._asked = time.monotonic()


def public_key(raw: bytes) -> OKPKey:
    """An Ed25519 public key from its 32 bytes."""
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).decode().rstrip("=")})
