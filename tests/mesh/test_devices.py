"""Several devices of one account, by the public door: what one does the others see, and what two do at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from tests.mesh.newcomer import newcomer
from tests.mesh.person import MESSAGE, REGENERATE, Person
from tests.mesh.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVENTS = f"""subscription {{ conversationEvents {{
  __typename
  ... on ConversationUpdated {{ conversation {{ id displayName currentLeafId pinned }} }}
  ... on ConversationDeleted {{ id }}
  ... on MessageUpdated {{ message {{ conversationId {MESSAGE} }} }} }} }}"""
SHOW = """mutation ($input: UpdateConversationInput!) { updateConversation(input: $input) { currentLeafId } }"""

Event = dict[str, Any]


class Device:
    """One that shows a conversation, and nothing else."""

    def __init__(self, socket: ClientConnection, conversation_id: str) -> None:
        self._socket, self._conversation_id = socket, conversation_id
        self.frames: list[str] = []
        """All that it ever received."""

    async def sees(self, kind: str, condition: Callable[[Event], bool] = lambda _: True) -> Event:
        """The next event of a kind that is about the conversation and fits."""
        async with asyncio.timeout(20):
            while True:
                self.frames.append(str(await self._socket.recv()))
                event = json.loads(self.frames[-1])["payload"]["data"]["conversationEvents"]
                if event["__typename"] in ("ConversationHeartbeat", "ResyncRequired"):
                    continue
                about = event.get("message") or event.get("conversation") or event
                if self._conversation_id not in (about.get("conversationId"), about["id"]):
                    continue
                if event["__typename"] == kind and condition(about):
                    return dict(about)


@asynccontextmanager
async def device(person: Person, conversation_id: str) -> AsyncIterator[Device]:
    """A device that listens already."""
    async with person.socket() as socket:
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": EVENTS}}))
        first = json.loads(await socket.recv())
        assert first["payload"]["data"]["conversationEvents"]["__typename"] == "ResyncRequired", first
        yield Device(socket, conversation_id)


async def test_a_second_device_sees_messages_states_and_the_title_at_once(ann: Person) -> None:
    conversation_id = await ann.new_conversation(displayName="")
    async with device(ann, conversation_id) as phone:
        sent = await ann.send(conversation_id, "words=40 tell me of the sea")
        reply_id = sent["reply"]["id"]
        leaf = await phone.sees("ConversationUpdated", lambda seen: bool(seen["currentLeafId"]))
        assert leaf["currentLeafId"] == reply_id
        assert (await phone.sees("MessageUpdated"))["text"] == "words=40 tell me of the sea"
        started = await phone.sees("MessageUpdated")
        assert (started["id"], started["status"]) == (reply_id, "IN_PROGRESS")
        watched = await ann.read(conversation_id, started["id"])  # as the phone does now
        ended = await phone.sees("MessageUpdated")
        assert (ended["status"], ended["text"]) == ("COMPLETED", watched.text)
        assert (await phone.sees("ConversationUpdated", lambda seen: bool(seen["displayName"])))["displayName"]


async def test_changes_and_the_end_of_a_conversation_are_seen(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    async with device(ann, conversation_id) as phone:
        pin = "mutation ($input: UpdateConversationInput!) { updateConversation(input: $input) { id } }"
        await ann.query(pin, input={"id": conversation_id, "pinned": True})
        assert (await phone.sees("ConversationUpdated", lambda seen: seen["pinned"]))["displayName"] == "named"
        await ann.query("mutation ($id: ID!) { deleteConversation(id: $id) }", id=conversation_id)
        assert (await phone.sees("ConversationDeleted"))["id"] == conversation_id


async def test_a_regenerated_and_a_cancelled_reply_are_seen(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    first = (await ann.send(conversation_id, "words=5 hello"))["reply"]
    await ann.read(conversation_id, first["id"])
    async with device(ann, conversation_id) as phone:
        wish = {"conversationId": conversation_id, "messageId": first["id"]}
        another = (await ann.query(REGENERATE, input=wish))["regenerateReply"]
        sibling = await phone.sees("MessageUpdated", lambda seen: seen["id"] == another["id"])
        assert sibling["siblingIds"] == [first["id"], another["id"]]
        await ann.read(conversation_id, another["id"])
        long = (await ann.send(conversation_id, "words=900 go on"))["reply"]
        await ann.cancel(long, conversation_id)
        ended = await phone.sees("MessageUpdated", lambda seen: seen["id"] == long["id"] and seen["finishReason"])
        assert ended["status"] == "CANCELLED"


async def test_nobody_sees_the_events_of_another_account(running: Running, ann: Person) -> None:
    async with newcomer(ann, running.url) as bob:
        hers, his = await ann.new_conversation(), await bob.program.new_conversation()
        async with device(bob.program, his) as phone:
            secret = (await ann.send(hers, "words=5 a secret"))["reply"]["id"]
            await ann.read(hers, secret)
            await bob.program.send(his, "words=5 hello")
            await phone.sees("MessageUpdated", lambda seen: seen["role"] == "ASSISTANT" and seen["finishReason"])
            assert hers not in "".join(phone.frames)


async def test_of_two_devices_that_send_at_once_one_is_shown_and_both_are_answered(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    root = (await ann.send(conversation_id, "words=3 begin"))["reply"]["id"]
    await ann.read(conversation_id, root)
    one, two = await asyncio.gather(
        ann.send(conversation_id, "words=20 one", parentId=root),
        ann.send(conversation_id, "words=20 two", parentId=root),
    )
    leaf = (await ann.query("query ($id: ID!) { conversation(id: $id) { currentLeafId } }", id=conversation_id))[
        "conversation"
    ]["currentLeafId"]
    assert leaf in (one["reply"]["id"], two["reply"]["id"])
    for sent in (one, two):
        assert (await ann.read(conversation_id, sent["reply"]["id"])).text


async def test_a_call_that_is_repeated_late_takes_nobody_away_from_where_he_is(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    sent = await ann.send(conversation_id, "words=3 begin")
    first = sent["reply"]["id"]
    await ann.read(conversation_id, first)
    second = (await ann.send(conversation_id, "words=3 go on"))["reply"]["id"]
    await ann.read(conversation_id, second)
    await ann.send(conversation_id, "words=3 begin", messageId=sent["userMessage"]["id"], replyId=first)
    assert [message["id"] for message in await ann.messages(conversation_id)][-1] == second
    # And where he went back himself, a repetition of the latest does not lead him on.
    await ann.query(SHOW, input={"id": conversation_id, "currentLeafId": first})
    assert [message["id"] for message in await ann.messages(conversation_id)][-1] == first
