"""The first account and its API key, made through auth as anybody else would make them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

import grpc

from parley.auth.v1 import account_service_pb2 as pb
from parley.auth.v1.account_service_pb2_grpc import AccountServiceStub
from services.chassis.channel import Peer, open_channel
from services.chassis.errors import AWAY, DomainError, Reason
from services.chassis.identity import TokenSubject
from services.chassis.tokens import Tokens
from services.launcher.folder import write_private
from services.launcher.refusal import RefusalError
from services.launcher.secret import EDGE, OPERATOR

ROLES = ("admin", "user")
DISPLAY_NAME = "Administrator"
KEY_NAME = "python -m services"

PASSWORD_SECONDS = 30.0
"""For a call that works on a password, which takes long by design, and longer while everything else starts, too."""
ATTEMPTS = 10
PAUSE_SECONDS = 0.5
"""Between attempts while auth is away."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the data folder keeps the way in."""

    folder: Path

    @property
    def password(self) -> Path:
        return self.folder / "admin-password"

    @property
    def api_key(self) -> Path:
        return self.folder / "api-key"


async def ensure_account(files: Files, email: str, auth_address: str, secrets: Mapping[str, str]) -> None:
    """Afterwards there is an account, and a key to it that works, however often a start before was cut off.

    Raises RefusalError if that cannot be.
    """
    async with open_channel(auth_address) as channel:
        for attempt in range(ATTEMPTS):
            try:
                if not await _works(read_key(files), Tokens(EDGE, secrets[EDGE], channel)):
                    await _FirstAccount(files, email, channel, secrets).make_key()
            except DomainError as error:
                if error.reason not in AWAY or attempt == ATTEMPTS - 1:
                    raise RefusalError(f"The first account could not be made: {error.message}") from None
                await asyncio.sleep(PAUSE_SECONDS)  # auth has just been started again
            else:
                return


async def inner_token(files: Files, audience: str, auth_address: str, secrets: Mapping[str, str]) -> str:
    """A token for a call to `audience` as the first account. Raises DomainError."""
    async with open_channel(auth_address) as channel:
        tokens = Tokens(EDGE, secrets[EDGE], channel)
        return (await tokens.exchange(audience, TokenSubject(read_key(files)))).token


def read_key(files: Files) -> str:
    """The API key, or nothing if there is none yet."""
    return files.api_key.read_text().strip() if files.api_key.exists() else ""


async def _works(key: str, tokens: Tokens) -> bool:
    if not key:
        return False
    try:
        await tokens.exchange("auth", TokenSubject(key))
    except DomainError as error:
        if error.reason is not Reason.UNAUTHENTICATED:
            raise
        return False
    return True


class _FirstAccount:
    def __init__(self, files: Files, email: str, channel: grpc.aio.Channel, secrets: Mapping[str, str]) -> None:
        self._files, self._email, self._stub = files, email, AccountServiceStub(channel)
        self._as_operator = Peer("auth", channel, Tokens(OPERATOR, secrets[OPERATOR], channel))
        self._as_edge = Peer("auth", channel, Tokens(EDGE, secrets[EDGE], channel))

    async def make_key(self) -> None:
        request = pb.CreateApiKeyRequest(display_name=KEY_NAME, account_id=await self._account_id())
        answer = await self._as_operator.call(self._stub.CreateApiKey, request, as_service=True)
        write_private(self._files.api_key, answer.secret + "\n")

    async def _account_id(self) -> str:
        """Of a new account, or of the one that our password opens."""
        made_before = self._files.password.exists()
        if not made_before:
            # Written first: an account whose password is lost could not be entered.
            write_private(self._files.password, token_urlsafe(18) + "\n")
        password = self._files.password.read_text().strip()
        request = pb.CreateAccountRequest(email=self._email, password=password, display_name=DISPLAY_NAME, roles=ROLES)
        try:
            answer = await self._as_operator.call(
                self._stub.CreateAccount, request, seconds=PASSWORD_SECONDS, as_service=True
            )
        except DomainError as error:
            if error.reason is not Reason.EMAIL_TAKEN:
                raise
        else:
            return answer.account.account_id
        try:
            return await self._opened_by(password)
        except DomainError:
            if not made_before:
                self._files.password.unlink()
            raise

    async def _opened_by(self, password: str) -> str:
        request = pb.VerifyPasswordRequest(email=self._email, password=password)
        try:
            answer = await self._as_edge.call(
                self._stub.VerifyPassword, request, seconds=PASSWORD_SECONDS, as_service=True
            )
        except DomainError as error:
            if error.reason is not Reason.INVALID_CREDENTIALS:
                raise
            text = f"{self._email} has another password. Put a key of it into {self._files.api_key}"
            raise DomainError(error.reason, f"{text}, or name another account: PARLEY_ADMIN_EMAIL=E-MAIL") from None
        return answer.account.account_id
