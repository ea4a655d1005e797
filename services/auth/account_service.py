"""AccountService: message in, domain call, message out."""

from datetime import UTC, datetime
from typing import Any

import grpc

from parley.auth.v1 import account_service_pb2 as pb
from parley.auth.v1.account_service_pb2_grpc import AccountServiceServicer
from services.auth.accounts import KNOWN_ROLES, Accounts, is_operator
from services.auth.api_keys import ApiKeys
from services.auth.clock import Clock
from services.auth.emails import MAX_CHARACTERS, is_email
from services.auth.peers import EDGE
from services.auth.records import Owner
from services.auth.sign_in import MAX_PASSWORD, SignIn
from services.auth.wire import to_account, to_api_key
from services.chassis.checks import Checks
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller, caller
from services.chassis.paging import seal, unseal

MIN_PASSWORD = 12
MAX_NAME = 100
MAX_PAGE = 100
DEFAULT_PAGE = 20
_BYTES_PER_CHARACTER = 4

Context = grpc.aio.ServicerContext[Any, Any]


class AccountService(AccountServiceServicer):
    def __init__(self, accounts: Accounts, sign_in: SignIn, api_keys: ApiKeys, clock: Clock) -> None:
        self._accounts, self._sign_in, self._api_keys, self._clock = accounts, sign_in, api_keys, clock

    async def CreateAccount(self, request: pb.CreateAccountRequest, context: Context) -> pb.CreateAccountResponse:
        with Checks() as check:
            shape = f"must be an e-mail address of up to {MAX_CHARACTERS} characters"
            check.that("email", is_email(request.email), shape)
            _check_characters(check, "password", request.password, MIN_PASSWORD, MAX_PASSWORD)
            _check_characters(check, "display_name", request.display_name, 1, MAX_NAME)
            for role in request.roles:
                check.one_of("roles", role, KNOWN_ROLES)
        account = await self._accounts.create(
            caller(), request.email, request.password, request.display_name, request.roles
        )
        return pb.CreateAccountResponse(account=to_account(account))

    async def GetAccount(self, request: pb.GetAccountRequest, context: Context) -> pb.GetAccountResponse:
        if request.account_id:
            with Checks() as check:
                check.id("account_id", request.account_id)
        who = caller()
        account = await self._accounts.get(who, request.account_id or who.require_account())
        return pb.GetAccountResponse(account=to_account(account))

    async def VerifyPassword(self, request: pb.VerifyPasswordRequest, context: Context) -> pb.VerifyPasswordResponse:
        caller().require_service(EDGE)
        account = await self._sign_in.account(request.email, request.password)
        return pb.VerifyPasswordResponse(account=to_account(account))

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Context) -> pb.CreateApiKeyResponse:
        with Checks() as check:
            _check_characters(check, "display_name", request.display_name, 1, MAX_NAME)
            if request.account_id:
                check.id("account_id", request.account_id)
            expire_time = _expire_time(check, request, self._clock())
        owner = await self._key_owner(caller(), request.account_id)
        key, secret = await self._api_keys.create(owner, request.display_name, expire_time)
        return pb.CreateApiKeyResponse(api_key=to_api_key(key), secret=secret)

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        with Checks() as check:
            check.page_size("page_size", request.page_size, limit=MAX_PAGE)
        owner = _owner(caller())
        scope = f"api_keys/{owner.tenant_id}/{owner.account_id}"
        size = request.page_size or DEFAULT_PAGE
        keys = await self._api_keys.list(owner, before=unseal(scope, request.page_token), limit=size + 1)
        return pb.ListApiKeysResponse(
            api_keys=[to_api_key(key) for key in keys[:size]],
            next_page_token=seal(scope, keys[size - 1].api_key_id) if len(keys) > size else "",
        )

    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: Context) -> pb.RevokeApiKeyResponse:
        with Checks() as check:
            check.id("api_key_id", request.api_key_id)
        await self._api_keys.revoke(_owner(caller()), request.api_key_id)
        return pb.RevokeApiKeyResponse()

    async def CloseAccount(self, request: pb.CloseAccountRequest, context: Context) -> pb.CloseAccountResponse:
        return pb.CloseAccountResponse(account=to_account(await self._accounts.close(_owner(caller()))))

    async def DeleteAccount(self, request: pb.DeleteAccountRequest, context: Context) -> pb.DeleteAccountResponse:
        return pb.DeleteAccountResponse(deleted=await self._accounts.delete(_owner(caller())))

    async def _key_owner(self, who: Caller, account_id: str) -> Owner:
        if not account_id or account_id == who.account_id:
            return _owner(who)
        if not is_operator(who):
            raise DomainError(Reason.PERMISSION_DENIED, "An API key can be created for oneself alone.")
        return (await self._accounts.get(who, account_id)).owner


def _owner(who: Caller) -> Owner:
    return Owner(who.tenant_id, who.require_account())


def _expire_time(check: Checks, request: pb.CreateApiKeyRequest, now: datetime) -> datetime | None:
    if not request.HasField("expire_time"):
        return None
    try:
        time = request.expire_time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        time = now
    check.that("expire_time", time > now, "must be a time in the future")
    return time


def _check_characters(check: Checks, name: str, value: str, least: int, most: int) -> None:
    check.that(name, least <= len(value) <= most, f"must have {least} to {most} characters, not {len(value)}")
    check.text(name, value, max_bytes=most * _BYTES_PER_CHARACTER)
