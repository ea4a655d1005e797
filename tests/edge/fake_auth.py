"""auth, in a test's mesh."""
# ruff: noqa: N802 - methods have the names of the contract

import time

from parley.auth.v1 import account_service_pb2 as accounts
from parley.auth.v1 import token_service_pb2 as tokens
from parley.auth.v1 import usage_service_pb2 as usage
from services.chassis.errors import DomainError, Reason, not_found
from services.chassis.identity import caller, verify_inner
from services.chassis.ids import new_id
from tests.edge.state import SECRET, State, page, public_bytes
from tests.identity import KEY_ID


class FakeAccounts:
    def __init__(self, state: State) -> None:
        self._state = state

    async def CreateAccount(self, request: accounts.CreateAccountRequest) -> accounts.CreateAccountResponse:
        if not self._state.registration_is_open:
            raise DomainError(Reason.PERMISSION_DENIED, "Registration is closed.")
        if request.email in self._state.passwords:
            raise DomainError(Reason.EMAIL_TAKEN, "There is an account with this e-mail address.")
        person = self._state.add_person(request.display_name, request.email)
        return accounts.CreateAccountResponse(account=person.account)

    async def GetAccount(self, request: accounts.GetAccountRequest) -> accounts.GetAccountResponse:
        account = self._state.accounts.get(request.account_id or caller().account_id)
        if account is None:
            raise not_found("account")
        return accounts.GetAccountResponse(account=account)

    async def VerifyPassword(self, request: accounts.VerifyPasswordRequest) -> accounts.VerifyPasswordResponse:
        caller().require_service("edge")
        if self._state.passwords.get(request.email) != request.password:
            raise DomainError(Reason.INVALID_CREDENTIALS, "The e-mail address or the password is not right.")
        account = next(one for one in self._state.accounts.values() if one.email == request.email)
        if account.HasField("close_time"):
            raise DomainError(Reason.ACCOUNT_CLOSED, "The account is being deleted.")
        return accounts.VerifyPasswordResponse(account=account)

    async def CreateApiKey(self, request: accounts.CreateApiKeyRequest) -> accounts.CreateApiKeyResponse:
        secret = f"pk_{new_id()}"
        key = accounts.ApiKey(
            api_key_id=new_id(),
            display_name=request.display_name,
            secret_prefix=secret[:8],
            expire_time=request.expire_time if request.HasField("expire_time") else None,
        )
        key.create_time.GetCurrentTime()
        self._state.credentials[secret] = caller().require_account()
        self._state.api_keys[key.api_key_id] = key
        return accounts.CreateApiKeyResponse(api_key=key, secret=secret)

    async def ListApiKeys(self, request: accounts.ListApiKeysRequest) -> accounts.ListApiKeysResponse:
        newest_first = list(reversed(self._state.api_keys.values()))
        keys, following = page(newest_first, request.page_size, request.page_token)
        return accounts.ListApiKeysResponse(api_keys=keys, next_page_token=following)

    async def RevokeApiKey(self, request: accounts.RevokeApiKeyRequest) -> accounts.RevokeApiKeyResponse:
        if self._state.api_keys.pop(request.api_key_id, None) is None:
            raise not_found("API key")
        return accounts.RevokeApiKeyResponse()


class FakeTokens:
    def __init__(self, state: State) -> None:
        self._state = state

    async def IssueToken(self, request: tokens.IssueTokenRequest) -> tokens.IssueTokenResponse:
        if self._state.passwords.get(request.email) != request.password:
            raise DomainError(Reason.INVALID_CREDENTIALS, "The e-mail address or the password is wrong.")
        account = next(one for one in self._state.accounts.values() if one.email == request.email)
        refresh_token = f"rt_{new_id()}"
        self._state.credentials[refresh_token] = account.account_id
        answer = tokens.IssueTokenResponse(account=account, access_token="unused", refresh_token=refresh_token)
        answer.refresh_token_expire_time.FromSeconds(int(time.time()) + 3600)
        return answer

    async def RevokeToken(self, request: tokens.RevokeTokenRequest) -> tokens.RevokeTokenResponse:
        self._state.credentials.pop(request.refresh_token, None)
        return tokens.RevokeTokenResponse()

    async def ExchangeToken(self, request: tokens.ExchangeTokenRequest) -> tokens.ExchangeTokenResponse:
        if request.service_secret != SECRET:
            raise DomainError(Reason.UNAUTHENTICATED, "The service is not known.")
        account_id = await self._account(request) if request.HasField("subject_token") else ""
        lifetime = self._state.token_seconds
        token = self._state.signer.token(request.audience, account_id, service=request.service, lifetime=lifetime)
        answer = tokens.ExchangeTokenResponse(token=token)
        answer.expire_time.FromSeconds(int(time.time() + lifetime))
        return answer

    async def _account(self, request: tokens.ExchangeTokenRequest) -> str:
        if account_id := self._state.credentials.get(request.subject_token):
            return account_id
        # A token that the asking service was called with.
        return (await verify_inner(request.subject_token, request.service, self._state.signer)).account_id

    async def ListSigningKeys(self, _: tokens.ListSigningKeysRequest) -> tokens.ListSigningKeysResponse:
        key = tokens.SigningKey(key_id=KEY_ID, public_key=public_bytes(self._state.signer))
        return tokens.ListSigningKeysResponse(keys=[key])


class FakeUsage:
    async def GetUsage(self, _: usage.GetUsageRequest) -> usage.GetUsageResponse:
        answer = usage.GetUsageResponse(usage=usage.Usage(used_tokens=2**40, reserved_tokens=5))
        answer.usage.reset_time.FromSeconds(1_800_000_000)
        return answer
