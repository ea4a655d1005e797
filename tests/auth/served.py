"""Auth behind a real socket, and those who call it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from argon2 import PasswordHasher

from parley.auth.v1 import account_service_pb2 as accounts_pb
from parley.auth.v1 import token_service_pb2 as tokens_pb
from parley.auth.v1 import usage_service_pb2 as usage_pb
from parley.auth.v1.account_service_pb2_grpc import AccountServiceStub
from parley.auth.v1.token_service_pb2_grpc import TokenServiceStub
from parley.auth.v1.usage_service_pb2_grpc import UsageServiceStub
from parley.inference.v1.generation_pb2 import TokenUsage
from services.auth.assembly import auth_server, key_ring
from services.auth.clock import Clock, utc_now
from services.auth.config import Config
from services.auth.keys import KeyRing
from services.auth.passwords import Passwords
from services.auth.store import Store
from services.auth.stores import open_store
from services.chassis.channel import Request, Response, UnaryMethod, open_channel
from services.chassis.errors import DomainError, from_rpc
from services.chassis.ids import new_id

if TYPE_CHECKING:
    from parley.auth.v1.account_service_pb2_grpc import AccountServiceAsyncStub
    from parley.auth.v1.token_service_pb2_grpc import TokenServiceAsyncStub
    from parley.auth.v1.usage_service_pb2_grpc import UsageServiceAsyncStub

SECRETS = {name: f"{name}-secret-of-these-tests" for name in ("edge", "conversation", "history", "operator")}
PASSWORD = "correct horse battery staple"


def new_config(store_url: str, **changes: Any) -> Config:
    return Config(
        **{
            "store_url": store_url,
            "signing_secret": "a signing secret of these tests alone",
            "service_secrets": ",".join(f"{name}={secret}" for name, secret in SECRETS.items()),
            "password_iterations": 1,
            "password_memory_kib": 8,
            "password_lanes": 1,
            "store_connections": 2,
            "grace_seconds": 1,
            **changes,
        }
    )


@dataclass(frozen=True)
class Auth:
    """One replica."""

    channel: grpc.aio.Channel
    store: Store
    ring: KeyRing
    tokens: TokenServiceAsyncStub

    async def exchange(self, service: str, audience: str, **subject: Any) -> str:
        request = tokens_pb.ExchangeTokenRequest(
            **{"service": service, "service_secret": SECRETS.get(service, ""), "audience": audience, **subject}
        )
        return (await answer(self.tokens.ExchangeToken(request, timeout=10))).token

    def client(self, service: str, subject_token: str = "") -> Client:
        return Client(self, service, subject_token)


class Client:
    """A service that calls auth: for itself, or for whom a token names."""

    accounts: AccountServiceAsyncStub
    tokens: TokenServiceAsyncStub
    usage: UsageServiceAsyncStub

    def __init__(self, auth: Auth, service: str, subject_token: str, inner_token: str = "") -> None:
        self._auth, self._service, self._inner_token = auth, service, inner_token
        self._subject = {"subject_token": subject_token} if subject_token else {}
        self.accounts, self.tokens = AccountServiceStub(auth.channel), TokenServiceStub(auth.channel)
        self.usage = UsageServiceStub(auth.channel)

    async def call(self, method: UnaryMethod[Request, Response], request: Request) -> Response:
        token = self._inner_token or await self._auth.exchange(self._service, "auth", **self._subject)
        return await answer(method(request, timeout=10, metadata=bearer(token)))

    async def holding_a_token(self) -> Client:
        """The same, with one token for all its calls."""
        token = await self._auth.exchange(self._service, "auth", **self._subject)
        return Client(self._auth, self._service, "", token)

    async def create_account(
        self, email: str | None = None, password: str = PASSWORD, name: str = "Ann", roles: Sequence[str] = ()
    ) -> accounts_pb.Account:
        request = accounts_pb.CreateAccountRequest(
            email=f"{new_id()}@example.com" if email is None else email,
            password=password,
            display_name=name,
            roles=roles,
        )
        return (await self.call(self.accounts.CreateAccount, request)).account

    async def get_account(self, account_id: str = "") -> accounts_pb.Account:
        request = accounts_pb.GetAccountRequest(account_id=account_id)
        return (await self.call(self.accounts.GetAccount, request)).account

    async def close_account(self) -> accounts_pb.Account:
        return (await self.call(self.accounts.CloseAccount, accounts_pb.CloseAccountRequest())).account

    async def delete_account(self) -> dict[str, int]:
        return dict((await self.call(self.accounts.DeleteAccount, accounts_pb.DeleteAccountRequest())).deleted)

    async def create_key(self, account_id: str = "", **fields: Any) -> accounts_pb.CreateApiKeyResponse:
        request = accounts_pb.CreateApiKeyRequest(**{"display_name": "k", "account_id": account_id, **fields})
        return await self.call(self.accounts.CreateApiKey, request)

    async def list_keys(self, size: int = 0, token: str = "") -> accounts_pb.ListApiKeysResponse:
        request = accounts_pb.ListApiKeysRequest(page_size=size, page_token=token)
        return await self.call(self.accounts.ListApiKeys, request)

    async def revoke_key(self, api_key_id: str) -> None:
        await self.call(self.accounts.RevokeApiKey, accounts_pb.RevokeApiKeyRequest(api_key_id=api_key_id))

    async def verify_password(self, email: str, password: str = PASSWORD) -> accounts_pb.Account:
        request = accounts_pb.VerifyPasswordRequest(email=email, password=password)
        return (await self.call(self.accounts.VerifyPassword, request)).account

    async def issue(self, email: str, password: str = PASSWORD) -> tokens_pb.IssueTokenResponse:
        return await self.call(self.tokens.IssueToken, tokens_pb.IssueTokenRequest(email=email, password=password))

    async def refresh(self, token: str) -> tokens_pb.RefreshTokenResponse:
        return await self.call(self.tokens.RefreshToken, tokens_pb.RefreshTokenRequest(refresh_token=token))

    async def revoke(self, token: str) -> None:
        await self.call(self.tokens.RevokeToken, tokens_pb.RevokeTokenRequest(refresh_token=token))

    async def reserve(self, reservation_id: str, tokens: int = 10, model: str = "m") -> usage_pb.Usage:
        request = usage_pb.ReserveUsageRequest(reservation_id=reservation_id, model=model, tokens=tokens)
        return (await self.call(self.usage.ReserveUsage, request)).usage

    async def settle(self, reservation_id: str, prompt: int = 1, completion: int = 1) -> usage_pb.Usage:
        used = TokenUsage(prompt_tokens=prompt, completion_tokens=completion)
        request = usage_pb.SettleUsageRequest(reservation_id=reservation_id, usage=used)
        return (await self.call(self.usage.SettleUsage, request)).usage

    async def release(self, reservation_id: str) -> None:
        await self.call(self.usage.ReleaseUsage, usage_pb.ReleaseUsageRequest(reservation_id=reservation_id))

    async def get_usage(self) -> usage_pb.Usage:
        return (await self.call(self.usage.GetUsage, usage_pb.GetUsageRequest())).usage


@asynccontextmanager
async def served(config: Config, clock: Clock = utc_now) -> AsyncIterator[Auth]:
    hasher = PasswordHasher(config.password_iterations, config.password_memory_kib, config.password_lanes)
    passwords = Passwords(hasher, threads=config.password_threads, queue=config.password_queue)
    async with open_store(config.store_url.get_secret_value(), config.store_connections) as store, passwords:
        ring = key_ring(config, store, clock)
        server = auth_server(config, store, ring, passwords, clock)
        async with server, open_channel(f"127.0.0.1:{server.port}") as channel:
            yield Auth(channel, store, ring, TokenServiceStub(channel))


@dataclass
class SetClock:
    """A clock that stands until it is set."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


def bearer(token: str) -> grpc.aio.Metadata:
    return grpc.aio.Metadata(("authorization", f"Bearer {token}"))


async def answer(call: Awaitable[Response]) -> Response:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from None


async def refusal(call: Awaitable[object]) -> DomainError:
    """The error that the call ends with."""
    with pytest.raises(DomainError) as refused:
        await call
    return refused.value
