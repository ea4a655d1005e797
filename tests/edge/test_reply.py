"""The subscription: what a client is told of a reply."""

from parley.history.v1 import history_service_pb2
from parley.inference.v1 import generation_pb2
from services.chassis.ids import new_id
from tests.edge.mesh import Mesh
from tests.edge.reply import TEXT, WORDS, Reply, new_reply, rest, text_until
from tests.edge.running import Edge, running
from tests.edge.socket import open_socket
from tests.edge.state import Person


async def test_a_reply_from_its_start_to_its_end(edge: Edge, ada: Person, reply: Reply) -> None:
    async with open_socket(edge, ada) as socket:
        await reply.watch(socket)
        assert await socket.event() == {"__typename": "ReplyHeartbeat", "cursor": "", "queuePosition": None}
        reply.journal.queue(2)
        assert await socket.event() == {"__typename": "ReplyHeartbeat", "cursor": "", "queuePosition": 2}
        reply.journal.append("Hel")
        assert await socket.event() == {"__typename": "ReplyDelta", "cursor": "c3", "text": "Hel"}
        reply.journal.append("lo")
        assert await socket.event() == {"__typename": "ReplyDelta", "cursor": "c5", "text": "lo"}
        reply.journal.end()
        assert await rest(socket) == (
            "",
            {
                "id": reply.message_id,
                "text": "Hello",
                "status": "COMPLETED",
                "finishReason": "STOP",
                "siblingIds": [reply.message_id],
            },
        )


async def test_heartbeats_come_at_once_and_while_nothing_happens(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, heartbeat_seconds=0.05) as edge, open_socket(edge, ada) as socket:
        reply = await new_reply(edge, ada)
        await reply.watch(socket)
        for _ in range(3):
            assert (await socket.event())["__typename"] == "ReplyHeartbeat"
        reply.journal.append("Hi")
        await text_until(socket, 2)
        assert await socket.event() == {"__typename": "ReplyHeartbeat", "cursor": "c2", "queuePosition": None}


async def test_a_reply_that_is_over_is_told_whole(edge: Edge, ada: Person, reply: Reply) -> None:
    reply.journal.append(TEXT)
    reply.journal.end(history_service_pb2.MESSAGE_STATUS_CANCELLED, generation_pb2.FINISH_REASON_CANCELLED)
    async with open_socket(edge, ada) as socket:
        await reply.watch(socket)
        text, message = await rest(socket)
        assert (text, message["text"], message["status"]) == (TEXT, TEXT, "CANCELLED")


async def test_a_cut_socket_goes_on_from_its_cursor(edge: Edge, ada: Person, reply: Reply) -> None:
    text, cursor = "", ""
    for words in (WORDS[:10], WORDS[10:25]):
        async with open_socket(edge, ada) as socket:
            await reply.watch(socket, after=cursor or None)
            for word in words:
                reply.journal.append(word)
            more, cursor = await text_until(socket, 1)
            text += more
            socket.connection.transport.abort()
    async with open_socket(edge, ada) as socket:
        await reply.watch(socket, after=cursor)
        reply.journal.append("".join(WORDS[25:]))
        reply.journal.end()
        more, message = await rest(socket)
    assert text + more == message["text"] == TEXT


async def test_other_peoples_replies_and_cursors(edge: Edge, ada: Person, mesh: Mesh, reply: Reply) -> None:
    eve = mesh.state.add_person("Eve")
    reply.journal.append("secret")
    for person, message_id, after, code in (
        (eve, reply.message_id, None, "NOT_FOUND"),
        (ada, new_id(), None, "NOT_FOUND"),
        (ada, reply.message_id, "nonsense", "INVALID_CURSOR"),
    ):
        async with open_socket(edge, person) as socket:
            await socket.watch("1", reply.conversation_id, message_id, after)
            assert (await socket.event())["__typename"] == "ReplyHeartbeat"
            message = await socket.receive()
            assert (message["type"], message["payload"][0]["extensions"]) == ("error", {"code": code})
            # The socket, and the stream under all sockets, live on.
            await socket.subscribe("2", "{ __typename }")
            assert (await socket.receive())["type"] == "next"


async def test_a_watch_is_stopped_when_its_subscriber_goes(edge: Edge, ada: Person, mesh: Mesh, reply: Reply) -> None:
    [fake] = mesh.fakes()
    async with open_socket(edge, ada) as socket:
        await reply.watch(socket)
        await socket.event()
        reply.journal.append("Hi")
        await text_until(socket, 2)
        mesh.state.commands.clear()
        await socket.send(id="1", type="complete")
        await mesh.state.commands.wait()
        assert fake.stops == [start.watch_id for start in fake.starts]


async def test_a_slow_reader_gets_larger_deltas_not_a_longer_queue(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, send_buffer=65536, tick_seconds=0) as edge:
        reply, fast = await new_reply(edge, ada), 0
        async with open_socket(edge, ada) as slow, open_socket(edge, ada) as quick:
            slow.connection.transport.pause_reading()
            await reply.watch(slow)
            await reply.watch(quick)
            size = 0
            while size < 2_000_000:
                reply.journal.append("x" * 40_000)
                size += len((await text_until(quick, 1))[0])
                fast += 1
            reply.journal.end()
            await rest(quick)
            slow.connection.transport.resume_reading()
            deltas = []
            while (event := await slow.event())["__typename"] != "ReplyEnded":
                deltas.append(event.get("text", ""))
    assert "".join(deltas) == event["message"]["text"]
    assert max(map(len, deltas)) > 10 * 40_000
    assert len(deltas) < fast


async def test_many_subscribers_share_one_stream(mesh: Mesh, ada: Person) -> None:
    async with running(mesh) as edge, open_socket(edge, ada) as socket:
        replies = [await new_reply(edge, ada) for _ in range(12)]
        for number, reply in enumerate(replies):
            await reply.watch(socket, f"r{number}")
        texts = dict.fromkeys([f"r{n}" for n in range(12)], "")
        for word in WORDS:
            for reply in replies:
                reply.journal.append(word)
        for reply in replies:
            reply.journal.end()
        ended = 0
        while ended < 12:
            message = await socket.receive()
            if message["type"] == "complete":
                ended += 1
            else:
                texts[message["id"]] += message["payload"]["data"]["reply"].get("text", "")
        assert set(texts.values()) == {TEXT}
        assert [fake.streams for fake in mesh.fakes()] == [1]


async def test_watches_have_a_limit(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, max_watches=1) as edge, open_socket(edge, ada) as socket:
        reply = await new_reply(edge, ada)
        await reply.watch(socket, "1")
        await socket.event()
        await reply.watch(socket, "2")
        message = await socket.receive()
        assert (message["id"], message["payload"][0]["extensions"]["code"]) == ("2", "LIMIT_EXCEEDED")


async def test_any_document_gets_its_own_shape_of_a_delta(edge: Edge, ada: Person, reply: Reply) -> None:
    document = """
    subscription($c: ID!, $m: ID!, $no: Boolean = false) {
      answer: reply(conversationId: $c, messageId: $m) {
        kind: __typename
        ...D
        ... on ReplyDelta { again: text hidden: cursor @include(if: $no) }
      }
    }
    fragment D on ReplyDelta { text ... @skip(if: $no) { at: cursor } }
    """
    async with open_socket(edge, ada) as socket:
        await socket.subscribe("1", document, c=reply.conversation_id, m=reply.message_id)
        assert (await socket.receive())["payload"] == {"data": {"answer": {"kind": "ReplyHeartbeat"}}}
        for text, cursor in (("Hi", "c2"), (" there", "c8")):
            reply.journal.append(text)
            shape = {"kind": "ReplyDelta", "text": text, "at": cursor, "again": text}
            assert (await socket.receive())["payload"] == {"data": {"answer": shape}}
        reply.journal.end()
        assert (await socket.receive())["payload"] == {"data": {"answer": {"kind": "ReplyEnded"}}}


async def test_an_end_that_cannot_be_told_is_no_good_end(edge: Edge, ada: Person, mesh: Mesh, reply: Reply) -> None:
    async with open_socket(edge, ada) as socket:
        await reply.watch(socket)
        await socket.event()
        del mesh.state.messages[reply.message_id]
        reply.journal.end()
        message = await socket.receive()
        assert (message["type"], message["payload"][0]["extensions"]) == ("error", {"code": "NOT_FOUND"})
        assert message["payload"][0]["path"] == ["reply", "message", "siblingIds"]


async def test_a_reply_may_take_longer_than_a_token_lives(mesh: Mesh, ada: Person) -> None:
    mesh.state.token_seconds = 1
    async with running(mesh, heartbeat_seconds=0.5) as edge, open_socket(edge, ada) as socket:
        reply = await new_reply(edge, ada)
        await reply.watch(socket)
        for _ in range(6):
            assert (await socket.event())["__typename"] == "ReplyHeartbeat"
        reply.journal.end()
        # Its siblings are asked for now, with a token of now.
        assert (await rest(socket))[1]["siblingIds"] == [reply.message_id]
