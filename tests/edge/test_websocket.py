"""graphql-transport-ws, message by message."""

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.chassis.errors import DomainError, Reason
from services.edge.session import Credential
from tests.edge.asking import new_conversation, send
from tests.edge.mesh import Mesh
from tests.edge.running import Edge, running
from tests.edge.socket import open_socket
from tests.edge.state import PASSWORD, Person

VIEWER = "{ viewer { displayName } }"


async def test_queries_and_mutations_run_on_a_socket(edge: Edge, ada: Person) -> None:
    async with open_socket(edge, ada) as socket:
        assert socket.connection.subprotocol == "graphql-transport-ws"
        await socket.subscribe("1", VIEWER)
        assert await socket.receive() == {
            "id": "1",
            "type": "next",
            "payload": {"data": {"viewer": {"displayName": "Ada"}}},
        }
        assert await socket.receive() == {"id": "1", "type": "complete"}
        # The id is free again.
        await socket.subscribe("1", "mutation { createConversation(input: {}) { model } }")
        assert (await socket.receive())["payload"] == {"data": {"createConversation": {"model": "small"}}}


async def test_what_is_not_valid_is_an_error_of_its_operation_alone(edge: Edge, ada: Person) -> None:
    async with open_socket(edge, ada) as socket:
        for number, (query, code) in enumerate(
            {"{": "GRAPHQL_PARSE_FAILED", "{ x }": "GRAPHQL_VALIDATION_FAILED"}.items()
        ):
            await socket.subscribe(str(number), query)
            message = await socket.receive()
            assert (message["id"], message["type"]) == (str(number), "error")
            assert message["payload"][0]["extensions"] == {"code": code}
        await socket.subscribe("x", VIEWER)
        assert (await socket.receive())["type"] == "next"


async def test_pings_are_answered_at_any_time(edge: Edge, ada: Person) -> None:
    async with open_socket(edge) as socket:
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}
        await socket.greet(ada)
        await socket.send(type="pong")
        await socket.send(type="ping", payload={"any": "thing"})
        assert await socket.receive() == {"type": "pong"}


BREAKS: list[tuple[list[str | bytes], int]] = [
    (["nonsense"], 4400),
    (["[]"], 4400),
    ([b"{}"], 4400),
    (['{"type": "subscribe"}'], 4401),
    (['{"type": "connection_init", "payload": 1}'], 4400),
    (['{"type": "connection_init"}'], 4403),
    (['{"type": "connection_init", "payload": {"authorization": "Bearer nonsense"}}'], 4403),
    (['{"type": "connection_init", "payload": {"authorization": 1}}'], 4403),
    (["GREETING", '{"type": "connection_init"}'], 4429),
    (["GREETING", '{"type": "start"}'], 4400),
    (["GREETING", "{}"], 4400),
    (["GREETING", '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}'], 4400),
    (["GREETING", '{"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}'], 4400),
    (["GREETING", '{"type": "subscribe", "id": "1"}'], 4400),
    (["GREETING", '{"type": "subscribe", "id": "1", "payload": {"query": 1}}'], 4400),
    (["GREETING", '{"type": "subscribe", "id": "1", "payload": {"query": "\\ud800"}}'], 4400),
]


async def test_what_breaks_the_protocol_ends_the_socket(edge: Edge, ada: Person) -> None:
    for messages, code in BREAKS:
        greeting = json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {ada.api_key}"}})
        async with open_socket(edge) as socket:
            for message in messages:
                await socket.connection.send(greeting if message == "GREETING" else message)
            assert (await socket.closed())[0] == code


async def test_an_id_that_is_taken(edge: Edge, mesh: Mesh, ada: Person) -> None:
    async with edge.client(ada) as client:
        conversation_id = await new_conversation(client)
        reply_id = await send(client, conversation_id)
    async with open_socket(edge, ada) as socket:
        await socket.watch("1", conversation_id, reply_id)
        await socket.watch("1", conversation_id, reply_id)
        assert (await socket.closed())[0] == 4409
    assert mesh.state.journals[reply_id].text == b""


async def test_other_protocols_are_refused(edge: Edge) -> None:
    for protocol in ("graphql-ws", "chat"):
        async with open_socket(edge, protocol=protocol) as socket:
            assert socket.connection.subprotocol is None
            assert (await socket.closed())[0] == 4406
    with pytest.raises(InvalidStatus):
        async with open_socket(edge, path="/elsewhere"):
            pass


async def test_a_process_has_so_many_sockets(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, max_connections=1) as edge, open_socket(edge, ada):
        with pytest.raises(InvalidStatus):
            async with open_socket(edge):
                pass


async def test_a_socket_that_does_not_say_who_it_is(mesh: Mesh) -> None:
    async with running(mesh, connection_init_seconds=0.1) as edge, open_socket(edge) as socket:
        assert (await socket.closed())[0] == 4408


async def test_messages_have_a_size(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, max_body_bytes=2000) as edge, open_socket(edge, ada) as socket:
        await socket.subscribe("1", VIEWER + " " * 2000)
        assert (await socket.closed())[0] == 1009


async def test_a_cookie_counts_only_from_our_own_pages(edge: Edge, ada: Person) -> None:
    sign_in = "mutation($input: SignInInput!) { signIn(input: $input) { email } }"
    given = {"email": ada.account.email, "password": PASSWORD}
    async with edge.client() as client:
        response = await client.post("/graphql", json={"query": sign_in, "variables": {"input": given}})
    cookie = response.headers["set-cookie"].partition(";")[0]
    async with open_socket(edge, cookie=cookie, origin=edge.url) as socket:
        await socket.greet()
        await socket.subscribe("1", VIEWER)
        assert (await socket.receive())["payload"] == {"data": {"viewer": {"displayName": "Ada"}}}
        await socket.subscribe("2", sign_in, input=given)
        await socket.receive()
        refusal = await socket.receive()
        assert refusal["payload"]["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"
    async with open_socket(edge, cookie=cookie, origin="https://evil.example") as socket:
        await socket.send(type="connection_init")
        assert (await socket.closed())[0] == 4403


async def test_a_key_that_is_revoked_works_no_longer_on_an_open_socket(edge: Edge, mesh: Mesh, ada: Person) -> None:
    async with open_socket(edge, ada) as socket:
        mesh.state.credentials.clear()
        edge.house.sessions.forget(Credential(ada.api_key))
        await socket.subscribe("1", VIEWER)
        message = await socket.receive()
        assert (message["type"], message["payload"][0]["extensions"]) == ("error", {"code": "UNAUTHENTICATED"})


async def test_auth_that_does_not_answer_is_no_refusal(edge: Edge, mesh: Mesh, ada: Person) -> None:
    mesh.state.failures["ExchangeToken"] = DomainError(Reason.INTERNAL, "Oh.")
    async with open_socket(edge) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.greet(ada)
        assert (await socket.closed())[0] == 1013


async def test_seats_are_limited_and_given_back(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, max_sockets_per_account=1) as edge:
        async with open_socket(edge, ada), open_socket(edge) as second:
            with pytest.raises(ConnectionClosed):
                await second.greet(ada)
            assert (await second.closed())[0] == 1013
        async with asyncio.timeout(5):
            while True:
                try:
                    async with open_socket(edge, ada):
                        break
                except ConnectionClosed:
                    continue  # the server has yet to notice that the first one went


async def test_a_socket_runs_so_many_operations_at_once(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, max_operations_per_socket=1) as edge:
        async with edge.client(ada) as client:
            conversation_id = await new_conversation(client)
            reply_id = await send(client, conversation_id)
        async with open_socket(edge, ada) as socket:
            await socket.watch("1", conversation_id, reply_id)
            assert (await socket.receive())["id"] == "1"
            await socket.subscribe("2", VIEWER)
            message = await socket.receive()
            assert (message["id"], message["payload"][0]["extensions"]) == ("2", {"code": "LIMIT_EXCEEDED"})
            await socket.send(id="1", type="complete")
            await socket.subscribe("3", VIEWER)
            assert (await socket.receive())["id"] == "3"
