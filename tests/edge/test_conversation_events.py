"""The subscription to what happens to the viewer's conversations, and what its changes become for a client."""

from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.conversation.v1 import conversation_service_pb2 as pb
from services.chassis.errors import DomainError, Reason, to_status
from services.chassis.ids import new_id
from services.edge.feed import MAX_CHANGES, Feed
from tests.edge.asking import data, new_conversation, send
from tests.edge.mesh import Mesh
from tests.edge.running import Edge, running
from tests.edge.socket import Socket, open_socket
from tests.edge.state import Person

EVENTS = """subscription {
  conversationEvents {
    __typename
    ... on ConversationUpdated { conversation { id displayName currentLeafId } }
    ... on ConversationDeleted { id }
    ... on MessageUpdated { message { id conversationId text status siblingIds } }
  }
}"""
RENAME = "mutation($input: UpdateConversationInput!) { updateConversation(input: $input) { id } }"


async def listen(socket: Socket) -> None:
    """Subscribes, and takes the word that something may have been missed."""
    await socket.subscribe("1", EVENTS)
    assert await next_event(socket) == {"__typename": "ResyncRequired"}


async def next_event(socket: Socket) -> dict[str, Any]:
    message = await socket.receive()
    assert message["type"] == "next", message
    event: dict[str, Any] = message["payload"]["data"]["conversationEvents"]
    return event


async def test_what_one_device_does_the_others_are_told(edge: Edge, ada: Person, client: httpx.AsyncClient) -> None:
    async with open_socket(edge, ada) as one, open_socket(edge, ada) as other:
        await listen(one)
        await listen(other)
        conversation_id = await new_conversation(client, displayName="Trees")
        await data(client, RENAME, input={"id": conversation_id, "displayName": "Old trees"})
        for socket in (one, other):
            named = {"id": conversation_id, "displayName": "Trees", "currentLeafId": None}
            first = await next_event(socket)
            if first["conversation"] != named:  # both changes came as one
                named["displayName"] = "Old trees"
                assert first["conversation"] == named
                continue
            second = await next_event(socket)
            assert (second["__typename"], second["conversation"]["displayName"]) == ("ConversationUpdated", "Old trees")


async def test_messages_are_told_as_they_are_by_then(mesh: Mesh, edge: Edge, ada: Person) -> None:
    async with edge.client(ada) as client, open_socket(edge, ada) as socket:
        conversation_id = await new_conversation(client)
        reply_id = await send(client, conversation_id, "How old is it?")
        await listen(socket)
        question_id = mesh.state.messages[reply_id].parent_id
        change = pb.ConversationChange(conversation_id=conversation_id, message_ids=[question_id, reply_id])
        mesh.state.tell(ada.account.account_id, change)
        question, reply = await next_event(socket), await next_event(socket)
        assert (question["message"]["id"], question["message"]["text"]) == (question_id, "How old is it?")
        assert (reply["message"]["id"], reply["message"]["status"]) == (reply_id, "IN_PROGRESS")
        mesh.state.journals[reply_id].append("Old.")
        mesh.state.journals[reply_id].end()
        mesh.state.tell(
            ada.account.account_id, pb.ConversationChange(conversation_id=conversation_id, message_ids=[reply_id])
        )
        ended = (await next_event(socket))["message"]
        assert (ended["text"], ended["status"], ended["siblingIds"]) == ("Old.", "COMPLETED", [reply_id])


async def test_what_is_gone_is_told_as_deleted_and_its_messages_not_at_all(mesh: Mesh, edge: Edge, ada: Person) -> None:
    async with open_socket(edge, ada) as socket:
        await listen(socket)
        gone = new_id()
        mesh.state.tell(
            ada.account.account_id,
            pb.ConversationChange(conversation_id=gone, conversation_changed=True, message_ids=[new_id()]),
        )
        assert await next_event(socket) == {"__typename": "ConversationDeleted", "id": gone}


async def test_nobody_is_told_of_anothers_conversations(mesh: Mesh, edge: Edge, ada: Person) -> None:
    bob = mesh.state.add_person("Bob")
    async with open_socket(edge, ada) as hers, open_socket(edge, bob) as his:
        await listen(hers)
        await listen(his)
        async with edge.client(ada) as client:
            await new_conversation(client, displayName="Ada's")
        async with edge.client(bob) as client:
            await new_conversation(client, displayName="Bob's")
        assert (await next_event(hers))["conversation"]["displayName"] == "Ada's"
        assert (await next_event(his))["conversation"]["displayName"] == "Bob's"
    # Even of a change that names hers he would only learn that there is no such conversation of his.
    async with open_socket(edge, bob) as his:
        await listen(his)
        [(_, conversation_id)] = [key for key in mesh.state.conversations if key[0] == ada.account.account_id]
        mesh.state.tell(
            bob.account.account_id,
            pb.ConversationChange(conversation_id=conversation_id, conversation_changed=True),
        )
        assert await next_event(his) == {"__typename": "ConversationDeleted", "id": conversation_id}


async def test_a_lost_stream_means_to_read_everything_again(mesh: Mesh, edge: Edge, ada: Person) -> None:
    [fake] = mesh.fakes()
    async with open_socket(edge, ada) as socket:
        await listen(socket)
        fake.away.set()
        await fake.refused.wait()
        fake.away.clear()
        assert await next_event(socket) == {"__typename": "ResyncRequired"}


async def test_a_store_that_is_away_means_to_read_everything_again(mesh: Mesh, edge: Edge, ada: Person) -> None:
    async with edge.client(ada) as client, open_socket(edge, ada) as socket:
        conversation_id = await new_conversation(client)
        await listen(socket)
        mesh.state.failures["GetConversation"] = DomainError(Reason.UNAVAILABLE, "Away.")
        change = pb.ConversationChange(conversation_id=conversation_id, conversation_changed=True)
        mesh.state.tell(ada.account.account_id, change)
        assert await next_event(socket) == {"__typename": "ResyncRequired"}
        del mesh.state.failures["GetConversation"]
        mesh.state.tell(ada.account.account_id, change)
        assert (await next_event(socket))["conversation"]["id"] == conversation_id


async def test_a_change_is_stored_even_if_nobody_can_be_told(
    mesh: Mesh, client: httpx.AsyncClient, ada: Person
) -> None:
    mesh.state.failures["AnnounceConversation"] = DomainError(Reason.UNAVAILABLE, "Away.")
    conversation_id = await new_conversation(client, displayName="Quiet")
    assert (ada.account.account_id, conversation_id) in mesh.state.conversations


async def test_a_subscription_may_ask_more_in_its_life_than_an_operation_may(mesh: Mesh, ada: Person) -> None:
    async with (
        running(mesh, max_calls_per_operation=8) as edge,
        edge.client(ada) as client,
        open_socket(edge, ada) as socket,
    ):
        await listen(socket)
        for number in range(12):
            await new_conversation(client, displayName=str(number))
            assert (await next_event(socket))["conversation"]["displayName"] == str(number)


async def test_an_account_watches_its_conversations_so_often_and_no_more(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, max_feeds_per_account=2) as edge, open_socket(edge, ada) as socket:
        for number in range(3):
            await socket.subscribe(str(number), EVENTS)
        answers = [await socket.receive() for _ in range(3)]
        [refused] = [answer for answer in answers if answer["type"] == "error"]
        assert refused["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_whose_key_was_revoked_hears_no_more(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, heartbeat_seconds=0.05) as edge, open_socket(edge, ada) as socket:
        await listen(socket)
        mesh.state.credentials.clear()
        edge.house.sessions._known.clear()
        while (message := await socket.receive())["type"] == "next":
            pass
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_heartbeats_come_while_nothing_happens(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, heartbeat_seconds=0.05) as edge, open_socket(edge, ada) as socket:
        await listen(socket)
        assert await next_event(socket) == {"__typename": "ConversationHeartbeat"}


CHANGES = st.builds(
    pb.ConversationChange,
    conversation_id=st.sampled_from("abc"),
    conversation_changed=st.booleans(),
    message_ids=st.lists(st.sampled_from("mnop"), max_size=3),
)


@given(st.lists(CHANGES, min_size=1, max_size=20))
@settings(deadline=None)
def test_a_slow_subscriber_is_told_everything_once(changes: list[pb.ConversationChange]) -> None:
    feed = Feed(pb.StartAccountWatch(watch_id="w"))
    for change in changes:
        feed.receive(pb.WatchEvent(changes=pb.ConversationChanges(changes=[change])))
    taken = feed.take()
    assert taken is not None
    assert not taken.missed
    assert {name for name, itself in taken.conversations.items() if itself} == {
        change.conversation_id for change in changes if change.conversation_changed
    }
    told = {(name, message) for name, messages in taken.messages.items() for message in messages}
    assert told == {(change.conversation_id, message) for change in changes for message in change.message_ids}


def test_a_subscriber_who_takes_nothing_costs_no_memory() -> None:
    feed = Feed(pb.StartAccountWatch(watch_id="w"))
    for number in range(3 * MAX_CHANGES):
        change = pb.ConversationChange(conversation_id=str(number), conversation_changed=True)
        feed.receive(pb.WatchEvent(changes=pb.ConversationChanges(changes=[change])))
        assert feed._changes.size <= MAX_CHANGES
    taken = feed.take()
    assert taken is not None
    assert taken.missed


def test_a_refused_feed_ends_with_its_reason() -> None:
    feed = Feed(pb.StartAccountWatch(watch_id="w"))
    feed.receive(pb.WatchEvent(failure=to_status(DomainError(Reason.LIMIT_EXCEEDED, "Too many."))))
    assert feed.over
    with pytest.raises(DomainError, match="LIMIT_EXCEEDED"):
        feed.take()
