"""An account is deleted while everything runs: afterwards no store knows it, and nobody else has noticed."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.mesh.engines import engines_busy
from tests.mesh.newcomer import DELETE, GONE, PASSWORD, Newcomer, newcomer
from tests.mesh.person import REGENERATE, Person, RefusedError
from tests.mesh.remains import lasting_mentions, mentions, texts
from tests.mesh.running import Running, until_ready

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIEWER = "{ viewer { id } }"
CONVERSATIONS = "{ conversations(first: 100) { nodes { id } } }"


@pytest_asyncio.fixture(loop_scope="session")
async def eve(running: Running, ann: Person) -> AsyncIterator[Newcomer]:
    async with newcomer(ann, running.url) as person:
        yield person


async def refusal(call: object) -> str:
    with pytest.raises(RefusedError) as refused:
        await call  # type: ignore[misc]
    return refused.value.code


async def until_idle(running: Running) -> None:
    async with asyncio.timeout(20):
        while await engines_busy(running):
            await asyncio.sleep(0.05)


async def require_nothing_left(running: Running, eve: Newcomer, *conversation_ids: str) -> None:
    """Whatever of the account was still under way comes to its end first."""
    await until_idle(running)
    ids = (eve.account_id, eve.email, *conversation_ids)
    async with asyncio.timeout(20):
        while await lasting_mentions(running, *ids):
            await asyncio.sleep(0.1)
    assert await mentions(running, *ids) == []


async def test_everything_of_an_account_goes_and_nothing_of_another(
    running: Running, ann: Person, eve: Newcomer
) -> None:
    kept = await ann.new_conversation()
    reply = (await ann.send(kept, "words=5 mine"))["reply"]["id"]
    await ann.read(kept, reply)
    others = await texts(running)
    ids = [await eve.program.new_conversation() for _ in range(3)]
    for conversation_id in ids[:2]:
        sent = await eve.program.send(conversation_id, "words=5 hello")
        await eve.program.read(conversation_id, sent["reply"]["id"])
        again = {"conversationId": conversation_id, "messageId": sent["reply"]["id"]}
        other = (await eve.program.query(REGENERATE, input=again))["regenerateReply"]["id"]
        await eve.program.read(conversation_id, other)

    assert await refusal(eve.delete(confirmation=eve.email.upper())) == "INVALID_ARGUMENT"
    assert await refusal(eve.delete(password="a guess, a long one")) == "INVALID_CREDENTIALS"
    assert len(await eve.program.messages(ids[0])) == 2
    assert await texts(running) - others

    receipt = await eve.delete()
    assert not await texts(running) - others
    expected = {
        ("conversation", "running replies"): 0,
        ("history", "messages"): 6,
        ("metadata", "conversations"): 3,
        ("metadata", "settings"): 0,
        ("auth", "accounts"): 1,
        ("auth", "api keys"): 1,
        ("auth", "reservations"): 4,
        ("auth", "sessions"): 1,
    }
    assert receipt.items() >= expected.items()
    await require_nothing_left(running, eve, *ids)

    for credential in (eve.program, eve.browser):
        assert await refusal(credential.query(VIEWER)) in GONE
        assert await refusal(credential.new_conversation()) in (*GONE, "ACCOUNT_CLOSED")
        assert await refusal(credential.messages(ids[0])) in GONE
    assert (await eve.sign_in()).json()["errors"][0]["extensions"]["code"] == "INVALID_CREDENTIALS"
    assert [message["id"] for message in await ann.messages(kept)][1] == reply


async def test_its_running_replies_stop_and_free_their_slots(running: Running, eve: Newcomer) -> None:
    conversation_id = await eve.program.new_conversation()
    reply = (await eve.program.send(conversation_id, "words=900 go on"))["reply"]["id"]
    read = await eve.program.read_some(conversation_id, reply, 20)
    watching = asyncio.create_task(eve.program.read(conversation_id, reply, read))
    receipt = await eve.delete()
    assert receipt["conversation", "running replies"] == 1
    assert receipt["history", "messages"] == 2
    [outcome] = await asyncio.gather(watching, return_exceptions=True)
    # Its watcher sees the end, or comes too late for it.
    if isinstance(outcome, RefusedError):
        assert outcome.code in GONE
    else:
        assert not isinstance(outcome, BaseException)
        assert outcome.ended
        assert outcome.ended["status"] == "CANCELLED"
    await require_nothing_left(running, eve, conversation_id)


async def test_a_conversation_is_deleted_with_the_reply_that_runs_in_it(running: Running, ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    reply = (await ann.send(conversation_id, "words=900 go on"))["reply"]["id"]
    await ann.read_some(conversation_id, reply, 20)
    await ann.query("mutation ($id: ID!) { deleteConversation(id: $id) }", id=conversation_id)
    # It waited for the reply, which is stopped, settled and over.
    assert await engines_busy(running) == 0
    usage = (await ann.query("{ viewer { usage { usedTokens } } }"))["viewer"]["usage"]
    assert int(usage["usedTokens"]) > 0
    await until_idle(running)
    assert await mentions(running, conversation_id) == []


async def test_a_deletion_whose_process_dies_is_finished_by_its_repetition(running: Running, eve: Newcomer) -> None:
    ids = [await eve.program.new_conversation() for _ in range(60)]
    for conversation_id in ids[:5]:
        await eve.program.send(conversation_id, "words=3 hello")
    deleting = asyncio.create_task(eve.delete_until_gone())
    with contextlib.suppress(RefusedError):  # it was faster than we look
        while len((await eve.browser.query(CONVERSATIONS))["conversations"]["nodes"]) > 50:
            await asyncio.sleep(0.01)
    for pid in running.processes("conversation"):
        os.kill(pid, signal.SIGKILL)
    await until_ready(running.url)
    await deleting
    await require_nothing_left(running, eve, *ids)


async def test_two_deletions_at_once(running: Running, eve: Newcomer) -> None:
    ids = [await eve.program.new_conversation() for _ in range(10)]
    receipts = await asyncio.gather(eve.delete_until_gone(), eve.delete_until_gone())
    whole = [receipt for receipt in receipts if receipt]
    assert sum(receipt["auth", "accounts"] for receipt in whole) == 1
    await require_nothing_left(running, eve, *ids)


async def test_whoever_writes_while_it_is_deleted_leaves_nothing_behind(running: Running, eve: Newcomer) -> None:
    ids: list[str] = []
    deleted = asyncio.Event()

    async def write() -> None:
        """Goes on for a moment afterwards, while the edges still know the key."""
        while True:
            is_last = deleted.is_set()
            try:
                ids.append(await eve.program.new_conversation())
                await eve.program.send(ids[-1], "words=40 hello")
            except RefusedError as refused:
                if refused.code not in (*GONE, "ACCOUNT_CLOSED", "UNAVAILABLE", "ENGINE_OVERLOADED"):
                    raise
            if is_last:
                return

    writers = [asyncio.create_task(write()) for _ in range(4)]
    while len(ids) < 10:
        await asyncio.sleep(0.02)
    await eve.delete_until_gone()
    deleted.set()
    await asyncio.gather(*writers)
    await require_nothing_left(running, eve, *ids)


async def test_the_cookie_is_cleared(eve: Newcomer) -> None:
    body = {"query": DELETE, "variables": {"input": {"confirmation": eve.email, "password": PASSWORD}}}
    answer: httpx.Response = await eve.browser.http.post("/graphql", json=body)
    assert "errors" not in answer.json()
    assert "=; Max-Age=0;" in answer.headers["set-cookie"]
