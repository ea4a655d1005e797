"""TokenService: message in, domain call, message out."""

from typing import Any

import grpc

from parley.auth.v1 import token_service_pb2 as pb
from parley.auth.v1.token_service_pb2_grpc import TokenServiceServicer
from services.auth.exchange import Exchange
from services.auth.keys import KeyRing
from services.auth.peers import EDGE, Peers
from services.auth.sessions import Sessions
from services.auth.sign_in import SignIn
from services.auth.tokens import Mint, Subject
from services.auth.wire import to_account, to_signing_key
from services.chassis.checks import Checks
from services.chassis.identity import caller
from services.chassis.times import to_timestamp

OPEN_METHODS = frozenset(
    f"/{pb.DESCRIPTOR.package}.TokenService/{method}" for method in ("ExchangeToken", "ListSigningKeys")
)
"""They come before there is a token: a secret is in one, and nothing secret in the other."""
MAX_TOKEN_BYTES = 8_192

Context = grpc.aio.ServicerContext[Any, Any]


class TokenService(TokenServiceServicer):
    def __init__(
        self,
        sign_in: SignIn,
        sessions: Sessions,
        exchange: Exchange,
        peers: Peers,
        ring: KeyRing,
        mint: Mint,
    ) -> None:
        self._sign_in, self._sessions = sign_in, sessions
        self._exchange, self._peers, self._ring, self._mint = exchange, peers, ring, mint

    async def IssueToken(self, request: pb.IssueTokenRequest, context: Context) -> pb.IssueTokenResponse:
        caller().require_service(EDGE)
        with Checks() as check:
            check.that("email", bool(request.email), "must be set")
            check.that("password", bool(request.password), "must be set")
        account = await self._sign_in.account(request.email, request.password)
        session, refresh_token = await self._sessions.start(account.owner)
        access = await self._mint.access_token(account, session.session_id)
        return pb.IssueTokenResponse(
            account=to_account(account),
            access_token=access.text,
            access_token_expire_time=to_timestamp(access.expire_time),
            refresh_token=refresh_token,
            refresh_token_expire_time=to_timestamp(session.expire_time),
        )

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: Context) -> pb.RefreshTokenResponse:
        caller().require_service(EDGE)
        account, session, refresh_token = await self._sessions.refresh(request.refresh_token)
        access = await self._mint.access_token(account, session.session_id)
        return pb.RefreshTokenResponse(
            access_token=access.text,
            access_token_expire_time=to_timestamp(access.expire_time),
            refresh_token=refresh_token,
            refresh_token_expire_time=to_timestamp(session.expire_time),
        )

    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: Context) -> pb.RevokeTokenResponse:
        caller().require_service(EDGE)
        await self._sessions.end(request.refresh_token)
        return pb.RevokeTokenResponse()

    async def ExchangeToken(self, request: pb.ExchangeTokenRequest, context: Context) -> pb.ExchangeTokenResponse:
        self._peers.require(request.service, request.service_secret)
        with Checks() as check:
            check.one_of("audience", request.audience, self._peers.audiences)
            if request.HasField("subject_token"):
                check.text("subject_token", request.subject_token, min_bytes=1, max_bytes=MAX_TOKEN_BYTES)
            if request.HasField("reservation_id"):
                check.id("reservation_id", request.reservation_id)
        token = await self._mint.inner_token(request.service, request.audience, await self._subject(request))
        return pb.ExchangeTokenResponse(token=token.text, expire_time=to_timestamp(token.expire_time))

    async def ListSigningKeys(self, request: pb.ListSigningKeysRequest, context: Context) -> pb.ListSigningKeysResponse:
        return pb.ListSigningKeysResponse(keys=map(to_signing_key, await self._ring.published()))

    async def _subject(self, request: pb.ExchangeTokenRequest) -> Subject | None:
        match request.WhichOneof("subject"):
            case "subject_token":
                return await self._exchange.by_token(request.service, request.subject_token)
            case "reservation_id":
                return await self._exchange.by_reservation(request.service, request.reservation_id)
            case None:
                return None
