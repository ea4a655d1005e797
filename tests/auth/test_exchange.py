"""ExchangeToken, through the door."""

import time
from datetime import timedelta

from parley.auth.v1 import token_service_pb2 as pb
from services.auth.clock import utc_now
from services.auth.sessions import Sessions
from services.auth.tokens import Mint, Subject, proof_time
from services.chassis.errors import Reason
from services.chassis.identity import LEEWAY_SECONDS, Caller, verify_inner
from services.chassis.ids import new_id
from services.chassis.tokens import AuthKeys, Tokens
from tests.auth.contract_accounts import new_account, registered
from tests.auth.served import SECRETS, Auth, Client, SetClock, refusal
from tests.identity import Signer

MINUTE = timedelta(minutes=1)


async def test_a_service_gets_a_token_for_itself(auth: Auth) -> None:
    token = await auth.exchange("history", "conversation")
    assert await verify_inner(token, "conversation", auth.ring) == Caller(service="history")
    assert (await refusal(verify_inner(token, "history", auth.ring))).reason is Reason.UNAUTHENTICATED


async def test_a_token_lives_a_minute(auth: Auth) -> None:
    request = pb.ExchangeTokenRequest(service="edge", service_secret=SECRETS["edge"], audience="history")
    answer = await auth.tokens.ExchangeToken(request, timeout=10)
    assert 50 < answer.expire_time.seconds - time.time() <= 60


async def test_a_users_credential_becomes_a_token_that_goes_from_service_to_service(
    auth: Auth, operator: Client
) -> None:
    account = await operator.create_account("ann@example.com", roles=["admin", "user"])
    key = (await operator.create_key(account.account_id)).secret
    issued = await auth.client("edge").issue("ann@example.com")
    for credential in (key, issued.access_token, issued.refresh_token):
        first = await auth.exchange("edge", "conversation", subject_token=credential)
        who = Caller("edge", "default", account.account_id, frozenset({"admin", "user"}))
        assert await verify_inner(first, "conversation", auth.ring) == who
        second = await auth.exchange("conversation", "history", subject_token=first)
        who = Caller("conversation", "default", account.account_id, frozenset({"admin", "user"}))
        assert await verify_inner(second, "history", auth.ring) == who


async def test_tokens_follow_from_one_another_for_a_while_and_not_for_ever(auth: Auth) -> None:
    mint = Mint(auth.ring, utc_now, access=MINUTE, inner=MINUTE)
    for checked, good in ((590, True), (601, False)):
        subject = Subject(await registered(auth.store), ("user",), utc_now() - timedelta(seconds=checked))
        token = (await mint.inner_token("history", "edge", subject)).text
        call = auth.exchange("edge", "history", subject_token=token)
        if good:
            following = await call
            assert proof_time(following) == proof_time(token)
            await auth.exchange("history", "edge", subject_token=following)
        else:
            assert (await refusal(call)).reason is Reason.UNAUTHENTICATED


async def test_the_edge_learns_who_asks_and_goes_on_with_that(auth: Auth, ann: Client) -> None:
    key = (await ann.create_key()).secret
    known = await auth.exchange("edge", "edge", subject_token=key)
    who = await verify_inner(known, "edge", auth.ring)
    onward = await auth.exchange("edge", "history", subject_token=known)
    assert (await verify_inner(onward, "history", auth.ring)).account_id == who.account_id


async def test_only_the_edge_brings_what_users_sign_in_with(auth: Auth, operator: Client) -> None:
    account = await operator.create_account("ann@example.com")
    key = (await operator.create_key(account.account_id)).secret
    issued = await auth.client("edge").issue("ann@example.com")
    for service in ("conversation", "operator"):
        for credential in (key, issued.refresh_token, issued.access_token):
            error = await refusal(auth.exchange(service, "history", subject_token=credential))
            assert error.reason is Reason.PERMISSION_DENIED


async def test_a_token_is_good_for_the_service_it_was_for(auth: Auth, ann: Client) -> None:
    key = (await ann.create_key()).secret
    inner = await auth.exchange("edge", "conversation", subject_token=key)
    for service in ("history", "edge", "operator"):
        error = await refusal(auth.exchange(service, "auth", subject_token=inner))
        assert error.reason is Reason.UNAUTHENTICATED
    of_service = await auth.exchange("edge", "conversation")
    error = await refusal(auth.exchange("conversation", "history", subject_token=of_service))
    assert error.reason is Reason.PERMISSION_DENIED


async def test_what_proves_nothing_is_refused(auth: Auth) -> None:
    unknown = ("pk_" + "A" * 43, "prt_" + "A" * 65, "a.b.c", "é" * 9, "e30.e30.", "eyJraWQiOjF9.e30.x", "x" * 8192)
    for credential in unknown:
        for service in ("edge", "conversation"):
            error = await refusal(auth.exchange(service, "history", subject_token=credential))
            assert error.reason in (Reason.UNAUTHENTICATED, Reason.PERMISSION_DENIED)
            assert credential not in error.message


async def test_a_token_that_another_signed_is_refused(auth: Auth, ann: Client) -> None:
    account = await ann.get_account()
    forged = Signer().token("conversation", account.account_id)
    error = await refusal(auth.exchange("conversation", "history", subject_token=forged))
    assert error.reason is Reason.UNAUTHENTICATED


async def test_expired_tokens_are_refused(auth: Auth) -> None:
    clock = SetClock(utc_now() - timedelta(seconds=61))
    mint = Mint(auth.ring, clock, access=MINUTE, inner=MINUTE)
    account = new_account()
    await auth.store.accounts.create(account, "hash")
    session, _ = await Sessions(auth.store.sessions, auth.store.accounts, utc_now, lifetime=MINUTE, grace=MINUTE).start(
        account.owner
    )
    for earlier, good in ((61 + LEEWAY_SECONDS, False), (50, True)):
        clock.now = utc_now() - timedelta(seconds=earlier)
        access = await mint.access_token(account, session.session_id)
        inner = await mint.inner_token("edge", "conversation", Subject(account.owner, (), utc_now()))
        calls = {
            Reason.UNAUTHENTICATED: auth.exchange("edge", "history", subject_token=access.text),
            Reason.UNAVAILABLE: auth.exchange("conversation", "history", subject_token=inner.text),
        }
        for reason, call in calls.items():
            assert await call if good else (await refusal(call)).reason is reason


async def test_a_service_without_its_secret_is_refused(auth: Auth) -> None:
    edge = SECRETS["edge"]
    known = [("edge", ""), ("edge", SECRETS["conversation"]), ("edge", edge + "x"), ("edge", edge.upper())]
    for service, secret in [*known, ("nobody", ""), ("", ""), ("auth", edge)]:
        error = await refusal(auth.exchange(service, "history", service_secret=secret))
        assert error.reason is Reason.UNAUTHENTICATED


async def test_bad_requests_are_refused(auth: Auth) -> None:
    bad = {
        "audience": ["", "parley", "operator", "nobody"],
        "subject_token": ["", "x" * 8193],
        "reservation_id": ["", "x"],
    }
    for field, values in bad.items():
        for value in values:
            error = await refusal(auth.exchange("conversation", **{"audience": "history", field: value}))
            assert (error.reason, list(error.fields)) == (Reason.INVALID_ARGUMENT, [field])


async def test_the_conversation_service_acts_for_a_reservation(auth: Auth, ann: Client) -> None:
    account, reservation_id = await ann.get_account(), new_id()
    error = await refusal(auth.exchange("conversation", "history", reservation_id=reservation_id))
    assert error.reason is Reason.UNAUTHENTICATED
    await ann.reserve(reservation_id)
    token = await auth.exchange("conversation", "history", reservation_id=reservation_id)
    who = await verify_inner(token, "history", auth.ring)
    assert (who.account_id, who.tenant_id, who.service) == (account.account_id, "default", "conversation")
    await ann.settle(reservation_id)
    await auth.exchange("conversation", "history", reservation_id=reservation_id)
    for service in ("edge", "history", "operator"):
        error = await refusal(auth.exchange(service, "auth", reservation_id=reservation_id))
        assert error.reason is Reason.PERMISSION_DENIED


async def test_the_chassis_gets_on_with_auth(auth: Auth, ann: Client) -> None:
    key = (await ann.create_key()).secret
    account = await ann.get_account()
    keys = AuthKeys(auth.channel)
    edge = Tokens("edge", SECRETS["edge"], auth.channel)
    caller = Caller("", "default", account.account_id, subject=None)
    assert (await verify_inner(await edge.token("history", None), "history", keys)).service == "edge"
    first = await auth.exchange("edge", "conversation", subject_token=key)
    who = await verify_inner(first, "conversation", keys)
    assert who.account_id == caller.account_id
    conversation = Tokens("conversation", SECRETS["conversation"], auth.channel)
    second = await verify_inner(await conversation.token("history", who), "history", keys)
    assert (second.account_id, second.service) == (account.account_id, "conversation")
