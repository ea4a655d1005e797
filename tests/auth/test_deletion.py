"""CloseAccount and DeleteAccount, through the door."""

import asyncio

from parley.auth.v1 import account_service_pb2 as pb
from services.chassis.errors import Reason
from services.chassis.ids import new_id
from tests.auth.served import PASSWORD, Auth, Client, answer, bearer, refusal

KINDS = {"accounts", "credentials", "sign_in_attempts", "api_keys", "sessions", "reservations", "periods"}


async def test_a_closed_account_lets_nobody_in(operator: Client, edge: Client, ann: Client) -> None:
    account = await ann.get_account()
    assert not account.HasField("close_time")
    closed = await ann.close_account()
    assert closed.HasField("close_time")
    assert await ann.close_account() == await ann.get_account() == closed
    calls = (
        edge.issue(account.email),
        edge.verify_password(account.email),
        ann.create_key(),
        operator.create_key(account.account_id),
        ann.reserve(new_id()),
    )
    for call in calls:
        assert (await refusal(call)).reason is Reason.ACCOUNT_CLOSED
    # Who does not know the password does not learn it either.
    assert (await refusal(edge.issue(account.email, PASSWORD + "x"))).reason is Reason.INVALID_CREDENTIALS
    assert (await refusal(operator.create_account(account.email))).reason is Reason.EMAIL_TAKEN


async def test_what_was_issued_before_still_works(auth: Auth, operator: Client, edge: Client) -> None:
    account = await operator.create_account("ann@example.com")
    key = (await operator.create_key(account.account_id)).secret
    issued = await edge.issue("ann@example.com")
    reservation_id = new_id()
    await auth.client("edge", key).reserve(reservation_id)
    await auth.client("edge", issued.access_token).close_account()
    assert (await refusal(edge.refresh(issued.refresh_token))).reason is Reason.ACCOUNT_CLOSED
    for credential in (key, issued.access_token, issued.refresh_token):
        assert (await auth.client("edge", credential).get_account()).account_id == account.account_id
    await auth.exchange("conversation", "history", reservation_id=reservation_id)
    await auth.client("edge", key).settle(reservation_id)


async def test_deleting_says_what_was_there_and_ends_every_token(auth: Auth, operator: Client, edge: Client) -> None:
    account = await operator.create_account("ann@example.com")
    key = (await operator.create_key(account.account_id)).secret
    await refusal(edge.issue("ann@example.com", "wrong"))
    issued = await edge.issue("ann@example.com")
    await refusal(edge.issue("ann@example.com", "wrong"))
    ann, reservation_id = auth.client("edge", key), new_id()
    await ann.reserve(reservation_id)
    inner = await auth.exchange("edge", "conversation", subject_token=key)
    assert (await refusal(ann.delete_account())).reason is Reason.PERMISSION_DENIED
    await ann.close_account()
    assert await ann.delete_account() == dict.fromkeys(KINDS, 1)
    for credential in (key, issued.access_token, issued.refresh_token):
        error = await refusal(auth.exchange("edge", "history", subject_token=credential))
        assert error.reason is Reason.UNAUTHENTICATED
    for subject in ({"subject_token": inner}, {"reservation_id": reservation_id}):
        error = await refusal(auth.exchange("conversation", "history", **subject))
        assert error.reason is Reason.UNAUTHENTICATED
    assert (await refusal(edge.refresh(issued.refresh_token))).reason is Reason.UNAUTHENTICATED
    assert (await refusal(edge.issue("ann@example.com"))).reason is Reason.INVALID_CREDENTIALS
    assert (await operator.create_account("ann@example.com")).account_id != account.account_id


async def test_a_deletion_can_be_repeated_while_a_token_of_the_mesh_lives(ann: Client) -> None:
    """A reply in flight has such a token, too: it brings nothing back."""
    reservation_id = new_id()
    await ann.reserve(reservation_id)
    late = await ann.holding_a_token()
    await ann.close_account()
    first, second = await asyncio.gather(late.delete_account(), late.delete_account())
    assert sorted(receipt["accounts"] for receipt in (first, second)) == [0, 1]
    assert await late.delete_account() == dict.fromkeys(KINDS, 0)
    assert (await refusal(late.settle(reservation_id))).reason is Reason.NOT_FOUND
    await late.release(reservation_id)
    assert (await refusal(late.reserve(reservation_id))).reason is Reason.ACCOUNT_CLOSED
    assert (await refusal(late.create_key())).reason is Reason.ACCOUNT_CLOSED
    for call in (late.close_account(), late.get_account()):
        assert (await refusal(call)).reason is Reason.NOT_FOUND
    usage = await late.get_usage()
    assert (usage.used_tokens, usage.reserved_tokens) == (0, 0)


async def test_a_service_has_no_account_to_close(auth: Auth, operator: Client) -> None:
    token = await auth.exchange("edge", "auth")
    requests = (
        operator.accounts.CloseAccount(pb.CloseAccountRequest(), timeout=10, metadata=bearer(token)),
        operator.accounts.DeleteAccount(pb.DeleteAccountRequest(), timeout=10, metadata=bearer(token)),
    )
    for request in requests:
        assert (await refusal(answer(request))).reason is Reason.PERMISSION_DENIED
