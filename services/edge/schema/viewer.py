"""People: who they are, and how they come in."""

from datetime import datetime

import strawberry

from parley.auth.v1 import account_service_pb2 as pb
from parley.auth.v1 import token_service_pb2, usage_service_pb2
from services.chassis.errors import DomainError, Reason
from services.chassis.times import to_datetime
from services.edge.schema.described import described
from services.edge.schema.info import Info
from services.edge.schema.usage import Usage
from services.edge.session import Credential


@strawberry.type(description="Somebody who may come in.")
class Viewer:
    id: strawberry.ID
    display_name: str
    email: str
    roles: list[str]
    close_time: datetime | None = strawberry.field(
        description="When its deletion began, which is not complete yet; null: it is open."
    )

    @described
    @strawberry.field
    async def usage(self, info: Info) -> Usage | None:
        """The viewer's own usage; null of another account."""
        context = info.context
        if context.caller is None or context.caller.account_id != self.id:
            return None
        request = usage_service_pb2.GetUsageRequest()
        answer = await context.call(context.mesh.auth, context.mesh.usage.GetUsage, request)
        return Usage.of(answer.usage)

    @classmethod
    def of(cls, account: pb.Account) -> "Viewer":
        return cls(
            id=strawberry.ID(account.account_id),
            display_name=account.display_name,
            email=account.email,
            roles=list(account.roles),
            close_time=to_datetime(account.close_time) if account.HasField("close_time") else None,
        )


@strawberry.input
class SignInInput:
    email: str
    password: str


@strawberry.input
class CreateAccountInput:
    email: str
    password: str
    display_name: str


@strawberry.type
class ViewerQuery:
    @described
    @strawberry.field
    async def viewer(self, info: Info) -> Viewer:
        """Who is signed in."""
        context = info.context
        answer = await context.call(context.mesh.auth, context.mesh.accounts.GetAccount, pb.GetAccountRequest())
        return Viewer.of(answer.account)


@strawberry.type
class ViewerMutation:
    @described
    @strawberry.mutation
    async def sign_in(self, info: Info, input: SignInInput) -> Viewer:  # noqa: A002 - its name in the contract
        """Signs in with a password and sets the session cookie. Over HTTP alone."""
        context = info.context
        if not context.can_set_cookies:
            raise DomainError(Reason.INVALID_ARGUMENT, "A WebSocket cannot set a cookie. Sign in over HTTP.")
        request = token_service_pb2.IssueTokenRequest(email=input.email, password=input.password)
        answer = await context.call(context.mesh.auth, context.mesh.sessions.IssueToken, request, as_service=True)
        credential = Credential(answer.refresh_token, from_cookie=True)
        context.caller, context.credential = await context.house.sessions.caller(credential), credential
        until = answer.refresh_token_expire_time.seconds
        context.set_cookies.append(context.house.cookie.set(answer.refresh_token, until))
        return Viewer.of(answer.account)

    @described
    @strawberry.mutation
    async def sign_out(self, info: Info) -> bool:
        """Ends the session of the cookie. False if there was none."""
        context = info.context
        credential = context.credential
        if credential is None or not credential.from_cookie:
            return False
        request = token_service_pb2.RevokeTokenRequest(refresh_token=credential.secret)
        await context.call(context.mesh.auth, context.mesh.sessions.RevokeToken, request, as_service=True)
        context.house.sessions.forget(credential)
        context.set_cookies.append(context.house.cookie.clear())
        return True

    @described
    @strawberry.mutation
    async def create_account(self, info: Info, input: CreateAccountInput) -> Viewer:  # noqa: A002
        """For an administrator, or for anyone where registration is open."""
        context = info.context
        request = pb.CreateAccountRequest(email=input.email, password=input.password, display_name=input.display_name)
        answer = await context.call(
            context.mesh.auth, context.mesh.accounts.CreateAccount, request, as_service=context.caller is None
        )
        return Viewer.of(answer.account)
