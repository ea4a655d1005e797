"""GraphQL over HTTP, by https://graphql.github.io/graphql-over-http/draft/."""

import asyncio
import json

import httpx
import pytest

from services.chassis.errors import DomainError, Reason
from tests.edge.asking import ask, data, error, new_conversation
from tests.edge.mesh import Mesh
from tests.edge.running import Edge, running
from tests.edge.state import Person

NEW, OLD = "application/graphql-response+json", "application/json"


async def post(
    client: httpx.AsyncClient, body: str | bytes, accept: str = NEW, content_type: str = OLD
) -> httpx.Response:
    content = body.encode() if isinstance(body, str) else body
    return await client.post("/graphql", content=content, headers={"accept": accept, "content-type": content_type})


def query(text: str, **more: object) -> str:
    return json.dumps({"query": text, **more})


MEDIA_TYPES = [
    (NEW, NEW),
    (OLD, OLD),
    ("*/*", OLD),
    ("application/*", OLD),
    (f"{OLD}, {NEW};q=0.5", OLD),
    (f"text/html, {NEW}, {OLD}", NEW),
    ("text/event-stream", "text/event-stream"),
]


async def test_the_client_chooses_the_media_type(client: httpx.AsyncClient) -> None:
    for accept, given in MEDIA_TYPES:
        response = await post(client, query("{ __typename }"), accept)
        assert response.status_code == 200
        assert response.headers["content-type"] == f"{given}; charset=utf-8"
        assert '{"data":{"__typename":"Query"}}' in response.text


WRONG = [
    (query("{ viewer {"), "GRAPHQL_PARSE_FAILED"),
    (query("{ viewer { nothing } }"), "GRAPHQL_VALIDATION_FAILED"),
    (query("query($id: ID!) { conversation(id: $id) { id } }"), "BAD_USER_INPUT"),
    (query("query A { __typename } query B { __typename }"), "BAD_USER_INPUT"),
    (query("query A { __typename }", operationName="B"), "BAD_USER_INPUT"),
]


async def test_documents_and_variables_that_are_wrong(client: httpx.AsyncClient) -> None:
    for body, code in WRONG:
        for accept, status in ((NEW, 400), (OLD, 200)):
            response = await post(client, body, accept)
            assert response.status_code == status
            assert response.json()["errors"][0]["extensions"] == {"code": code}
            assert "data" not in response.json()


NO_REQUESTS: list[str | bytes] = [
    "",
    "nonsense",
    "[]",
    "null",
    '"{ __typename }"',
    "{}",
    '{"query": 1}',
    '{"query": "{ __typename }", "variables": []}',
    '{"query": "{ __typename }", "variables": {"x": NaN}}',
    '{"query": "{ __typename }", "variables": {"x": 1e999}}',
    '{"query": "{ __typename }", "operationName": 1}',
    '{"query": "{ __typename }", "extensions": 1}',
    '{"query": "{ __typename }", "variables": {"x": "\\ud800"}}',
    b'{"query": "{ __typename }", "variables": {"x": "\xff"}}',
    '{"query": "{ __typename }", "variables": ' + "[" * 100_000,
    '{"query": "{ __typename }", "variables": {"x": ' + "9" * 5000 + "}}",
]


async def test_bodies_that_are_no_request(client: httpx.AsyncClient) -> None:
    for body in NO_REQUESTS:
        for accept in (NEW, OLD):
            response = await post(client, body, accept)
            assert response.status_code == 400
            assert response.json()["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_batches_are_refused_with_the_reason(client: httpx.AsyncClient) -> None:
    response = await post(client, f"[{query('{ __typename }')}]")
    assert (response.status_code, "batches" in response.json()["errors"][0]["message"]) == (400, True)


async def test_methods_and_types_that_are_not_taken(client: httpx.AsyncClient) -> None:
    ok = query("{ __typename }")
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert (await post(client, ok, content_type=content_type)).status_code == 415
    assert (await post(client, ok, content_type="application/json; charset=latin-1")).status_code == 415
    assert (await post(client, ok, content_type="application/json; charset=UTF-8")).status_code == 200
    assert (await post(client, ok, accept="text/html")).status_code == 406
    subscription = query('subscription { reply(conversationId: "a", messageId: "b") { __typename } }')
    assert (await post(client, subscription)).status_code == 406
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        response = await client.request(method, "/graphql", params={"query": "{ __typename }"})
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert (await client.get("/nowhere")).status_code == 404


async def begin(edge: Edge, length: int, body: bytes) -> bytes:
    """The status line for a request that begins with `body`, and announces more than it sends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    head = f"POST /graphql HTTP/1.1\r\nHost: edge\r\nContent-Type: {OLD}\r\nContent-Length: {length}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.partition(b"\r\n")[0]


async def test_bodies_have_a_size_and_a_time(mesh: Mesh) -> None:
    async with running(mesh, max_body_bytes=2000, body_seconds=0.2) as edge, edge.client() as client:
        fits = query("{ __typename }", variables={"x": "y" * 1800})
        assert (await post(client, fits)).status_code == 200
        assert (await post(client, fits + " " * 2000)).status_code == 413
        assert b" 413 " in await begin(edge, 10_000, b" " * 2001)
        assert b" 408 " in await begin(edge, 10_000, b" " * 1000)


async def test_headers_of_every_answer(client: httpx.AsyncClient) -> None:
    response = await post(client, query("{ __typename }"))
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
    assert "server" not in response.headers
    assert not [name for name in response.headers if name.startswith("access-control")]
    named = await client.get("/healthz", headers={"x-request-id": "mine"})
    assert named.headers["x-request-id"] == "mine"


async def test_nul_goes_to_the_service_that_judges_it(client: httpx.AsyncClient) -> None:
    create = "mutation($input: CreateConversationInput!) { createConversation(input: $input) { id } }"
    refusal = await error(client, create, input={"displayName": "a\0b"})
    assert refusal["fields"] == {"conversation.displayName": "must not contain NUL"}
    # A number beyond 32 bits is no Int.
    assert (await error(client, "query($n: Int) { conversations(first: $n) { nodes { id } } }", n=2**31)) == {
        "code": "BAD_USER_INPUT"
    }


async def test_what_is_unexpected_says_nothing_but_an_id(
    client: httpx.AsyncClient, mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    conversation_id = await new_conversation(client)
    mesh.state.settings.default_model = "secret prompt"
    mesh.state.messages.clear()
    conversation = next(iter(mesh.state.conversations.values()))
    conversation.create_time.nanos = -1  # no service writes such a time
    answer = await ask(client, "query($id: ID!) { conversation(id: $id) { id } }", id=conversation_id)
    [told] = answer["errors"]
    error_id = told["extensions"]["metadata"]["errorId"]
    assert told["extensions"]["code"] == "INTERNAL"
    assert told["message"] == f"Something went wrong. Its id is {error_id}."
    [logged] = [record for record in caplog.records if record.message == "unexpected"]
    assert vars(logged)["fields"]["error_id"] == error_id
    assert logged.exc_info is None


async def test_a_mesh_that_does_not_answer(mesh: Mesh, edge: Edge, ada: Person) -> None:
    async with edge.client(ada) as client:
        await data(client, "{ viewer { id } }")
        mesh.state.failures["ListModels"] = DomainError(Reason.UNAVAILABLE, "Not now.")
        assert (await error(client, "{ models { id } }"))["code"] == "UNAVAILABLE"
        await mesh.replica("auth").kill()
        stranger = await post(client, query("{ __typename }"))
        assert stranger.status_code == 200
        client.headers["authorization"] = "Bearer another"
        refused = await post(client, query("{ __typename }"))
        assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")
