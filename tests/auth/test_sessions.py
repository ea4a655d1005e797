"""Sessions: issue, refresh, revoke."""

import asyncio
import time
from datetime import timedelta

from services.auth.clock import utc_now
from services.auth.sessions import Sessions
from services.auth.store import Store
from services.auth.tokens import ACCESS_AUDIENCE, ACCESS_TYPE
from services.chassis.errors import Reason
from services.chassis.identity import verify
from tests.auth.contract_accounts import registered
from tests.auth.served import Auth, Client, SetClock, refusal

MINUTE = timedelta(minutes=1)


async def test_signing_in_gives_tokens(auth: Auth, operator: Client, edge: Client) -> None:
    account = await operator.create_account("ann@example.com", roles=["admin"])
    issued = await edge.issue("ann@example.com")
    assert issued.account == account
    claims = await verify(issued.access_token, ACCESS_TYPE, ACCESS_AUDIENCE, auth.ring)
    assert (claims["sub"], claims["tenant"], claims["roles"]) == (account.account_id, "default", ["admin"])
    assert claims["exp"] == issued.access_token_expire_time.seconds
    assert 590 < issued.access_token_expire_time.seconds - time.time() <= 600
    assert issued.refresh_token.startswith("prt_")
    assert 29 < (issued.refresh_token_expire_time.seconds - time.time()) / 86_400 <= 30


async def test_a_refresh_token_works_once(auth: Auth, operator: Client, edge: Client) -> None:
    account = await operator.create_account("ann@example.com")
    issued = await edge.issue("ann@example.com")
    first = await edge.refresh(issued.refresh_token)
    second = await edge.refresh(first.refresh_token)
    assert len({issued.refresh_token, first.refresh_token, second.refresh_token}) == 3
    for token in (second.access_token, issued.access_token, second.refresh_token):
        assert await auth.client("edge", token).get_account() == account
    for spent in (issued.refresh_token, first.refresh_token):
        assert (await refusal(edge.refresh(spent))).reason is Reason.UNAUTHENTICATED
        assert (await refusal(auth.client("edge", spent).get_account())).reason is Reason.UNAUTHENTICATED


async def test_of_refreshes_at_once_one_wins_and_the_session_lives(operator: Client, edge: Client) -> None:
    await operator.create_account("ann@example.com")
    issued = await edge.issue("ann@example.com")
    results = await asyncio.gather(*(edge.refresh(issued.refresh_token) for _ in range(6)), return_exceptions=True)
    won = [result for result in results if not isinstance(result, BaseException)]
    assert len(won) == 1
    assert {getattr(e, "reason", None) for e in results if isinstance(e, BaseException)} == {Reason.UNAUTHENTICATED}
    await edge.refresh(won[0].refresh_token)


async def test_a_revoked_session_is_over_for_all_its_tokens(auth: Auth, operator: Client, edge: Client) -> None:
    await operator.create_account("ann@example.com")
    issued, other = await edge.issue("ann@example.com"), await edge.issue("ann@example.com")
    following = await edge.refresh(issued.refresh_token)
    for _ in range(2):
        await edge.revoke(following.refresh_token)
    for token in (issued.access_token, following.access_token, following.refresh_token):
        assert (await refusal(auth.client("edge", token).get_account())).reason is Reason.UNAUTHENTICATED
    assert (await refusal(edge.refresh(following.refresh_token))).reason is Reason.UNAUTHENTICATED
    await edge.refresh(other.refresh_token)


async def test_an_unknown_token_is_refused_and_revoked_in_peace(edge: Client) -> None:
    for token in ("", "x", "prt_", "prt_" + "A" * 65, "prt_é", "prt_" + "=" * 22, "prt_" + "x" * 100_000):
        assert (await refusal(edge.refresh(token))).reason is Reason.UNAUTHENTICATED
        await edge.revoke(token)


async def test_a_session_ends_when_it_is_not_refreshed(store: Store) -> None:
    clock = SetClock(utc_now())
    sessions = Sessions(store.sessions, store.accounts, clock, lifetime=10 * MINUTE, grace=MINUTE)
    started, token = await sessions.start(await registered(store))
    clock.now += 9 * MINUTE
    _, session, token = await sessions.refresh(token)
    clock.now += 9 * MINUTE
    assert (await sessions.of_token(token)) == await sessions.require(started.session_id) == session
    clock.now += MINUTE
    for call in (sessions.of_token(token), sessions.require(session.session_id), sessions.refresh(token)):
        assert (await refusal(call)).reason is Reason.UNAUTHENTICATED


async def test_a_spent_token_that_comes_back_late_ends_the_session(store: Store) -> None:
    clock = SetClock(utc_now())
    sessions = Sessions(store.sessions, store.accounts, clock, lifetime=10 * MINUTE, grace=MINUTE)
    _, spent = await sessions.start(await registered(store))
    _, _, current = await sessions.refresh(spent)
    clock.now += MINUTE
    await refusal(sessions.refresh(spent))  # as a second tab may do
    await sessions.of_token(current)
    clock.now += timedelta(seconds=1)
    await refusal(sessions.refresh(spent))
    assert (await refusal(sessions.of_token(current))).reason is Reason.UNAUTHENTICATED
