"""Leaving: taking everything along, and deleting everything."""

import strawberry

from parley.auth.v1 import account_service_pb2 as auth_pb
from parley.conversation.v1 import account_data_service_pb2 as pb
from services.chassis.checks import Checks
from services.chassis.errors import DomainError, Reason
from services.edge.context import Context
from services.edge.schema.described import described
from services.edge.schema.info import Info
from services.edge.schema.usage import BigInt

EXPORT_PATH = "/export"
DELETE_SECONDS = 28.0
"""A large account takes several calls; this one ends before the operation that it is made in."""


@strawberry.type
class ExportAccountPayload:
    url: str = strawberry.field(
        description="Where GET answers with a zip archive, with the same credentials and on the same host. An archive "
        "whose download broke cannot be opened."
    )


@strawberry.input
class DeleteAccountInput:
    confirmation: str = strawberry.field(description="The account's e-mail address, letter for letter.")
    password: str = strawberry.field(description="The account's, however the call is authenticated.")


@strawberry.type(description="Records of one kind that are gone from one store.")
class DeletedRecords:
    store: str
    kind: str
    count: BigInt = strawberry.field(description="Deleted by this call; what an earlier one deleted is not counted.")


@strawberry.type
class DeleteAccountPayload:
    receipt: list[DeletedRecords]


@strawberry.type
class LeavingMutation:
    @described
    @strawberry.mutation
    async def export_account(self, info: Info) -> ExportAccountPayload:
        """Everything that the viewer owns, as JSON and Markdown in one archive."""
        info.context.require_caller()
        return ExportAccountPayload(url=EXPORT_PATH)

    @described
    @strawberry.mutation
    async def delete_account(self, info: Info, input: DeleteAccountInput) -> DeleteAccountPayload:  # noqa: A002
        """Deletes the viewer's account and everything that it owns. There is no way back. Over HTTP alone.

        When it ends with DEADLINE_EXCEEDED or UNAVAILABLE, the account is closed and part of it may be left: repeat the
        call until it succeeds, or is UNAUTHENTICATED, because nothing is left that could be asked for.
        """
        context = info.context
        if not context.can_set_cookies:
            raise DomainError(Reason.INVALID_ARGUMENT, "A WebSocket cannot clear a cookie. Delete it over HTTP.")
        await _require_confirmed(context, input)
        mesh, request = context.mesh, pb.DeleteAccountRequest()
        answer = await context.call(mesh.conversation, mesh.data.DeleteAccount, request, seconds=DELETE_SECONDS)
        context.house.sessions.forget_all_of(context.require_caller())
        if context.credential and context.credential.from_cookie:
            context.set_cookies.append(context.house.cookie.clear())
        return DeleteAccountPayload(
            receipt=[
                DeletedRecords(store=deleted.store, kind=deleted.kind, count=BigInt(deleted.count))
                for deleted in answer.receipt
            ]
        )


async def _require_confirmed(context: Context, given: DeleteAccountInput) -> None:
    """Raises INVALID_ARGUMENT, INVALID_CREDENTIALS and RATE_LIMITED."""
    answer = await context.call(context.mesh.auth, context.mesh.accounts.GetAccount, auth_pb.GetAccountRequest())
    with Checks() as check:
        check.that("confirmation", given.confirmation == answer.account.email, "must be the account's e-mail address")
    # Whoever finds an open browser, or a key in a program, has no password.
    request = auth_pb.VerifyPasswordRequest(email=answer.account.email, password=given.password)
    try:
        await context.call(context.mesh.auth, context.mesh.accounts.VerifyPassword, request, as_service=True)
    except DomainError as error:
        if error.reason is not Reason.ACCOUNT_CLOSED:  # said of the right password, when the deletion is repeated
            raise
