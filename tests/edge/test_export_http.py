"""GET /export: who gets an archive, and how a broken one shows."""

import asyncio
import io
import socket
from secrets import token_hex
from zipfile import BadZipFile, ZipFile

import httpx
import pytest

from parley.auth.v1.token_service_pb2 import ExchangeTokenRequest
from services.chassis.errors import DomainError, Reason
from services.edge.export import reading
from tests.edge.asking import new_conversation
from tests.edge.mesh import Mesh
from tests.edge.running import Edge, running
from tests.edge.state import Person
from tests.edge.test_export import export, read, write_long
from tests.edge.test_session import session, sign_in

AWAY = DomainError(Reason.UNAVAILABLE, "away")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is away is asked twice, and at once."""
    monkeypatch.setattr(reading, "PAUSES", (0.01,))


async def begun(client: httpx.AsyncClient) -> bytes:
    """What comes of an export before its connection is cut."""
    got = bytearray()
    async with client.stream("GET", "/export") as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            await take(answer, got)
    return bytes(got)


async def take(answer: httpx.Response, got: bytearray) -> None:
    async for piece in answer.aiter_bytes():
        got += piece


async def test_the_answers_headers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/export")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith('attachment; filename="parley-2')
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


async def test_who_gets_an_archive(edge: Edge, mesh: Mesh, ada: Person) -> None:
    async with edge.client() as stranger:
        for headers in ({}, {"authorization": "Bearer nonsense"}, {"cookie": "__Host-parley=nonsense"}):
            answer = await stranger.get("/export", headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
        cookie = {"cookie": session(await sign_in(stranger, ada))["cookie"]}
        # A download has no CSRF header; the browser says which page started it.
        for honest in ({}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
            assert (await stranger.get("/export", headers={**cookie, **honest})).status_code == 200
        evil = {"origin": "https://evil.example"}
        for forged in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, evil):
            assert (await stranger.get("/export", headers={**cookie, **forged})).status_code == 403
        for method in ("POST", "HEAD", "DELETE"):
            answer = await stranger.request(method, "/export", headers=cookie)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert len(mesh.state.calls("GetSettings")) == 3


@pytest.mark.usefixtures("impatient")
async def test_a_mesh_that_is_away_is_told_in_the_status(client: httpx.AsyncClient, mesh: Mesh) -> None:
    mesh.state.failures["GetAccount"] = AWAY
    answer = await client.get("/export")
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    mesh.state.failures["GetAccount"] = DomainError(Reason.NOT_FOUND, "deleted")
    assert (await client.get("/export")).status_code == 404


@pytest.mark.usefixtures("impatient")
async def test_an_export_that_breaks_is_no_archive(client: httpx.AsyncClient, mesh: Mesh, ada: Person) -> None:
    conversation_id = await new_conversation(client)
    write_long(mesh, conversation_id, ada, ["text"] * 10)
    for failure in (AWAY, DomainError(Reason.UNAUTHENTICATED, "gone"), ValueError()):
        mesh.state.failures["ListMessages"] = failure
        got = await begun(client)
        assert b"account.json" in got
        with pytest.raises(BadZipFile):
            ZipFile(io.BytesIO(got))
    mesh.state.failures.clear()
    await export(client)


async def test_a_service_that_is_away_for_a_moment_is_waited_for(
    client: httpx.AsyncClient, mesh: Mesh, ada: Person
) -> None:
    conversation_id = await new_conversation(client)
    write_long(mesh, conversation_id, ada, ["text"] * 10)
    mesh.state.failures["ListMessages"] = AWAY
    exporting = asyncio.create_task(export(client))
    while not mesh.state.calls("ListMessages"):
        await asyncio.sleep(0.01)
    mesh.state.failures.clear()
    assert len(read(await exporting, f"conversations/{conversation_id}.json")["messages"]) == 10


async def test_a_process_that_ends_cuts_its_exports(client: httpx.AsyncClient, edge: Edge, mesh: Mesh) -> None:
    mesh.state.failures["GetSettings"] = AWAY
    cut = asyncio.create_task(begun(client))
    while not mesh.state.calls("GetSettings"):
        await asyncio.sleep(0.01)
    edge.house.leaving.set()
    await cut


async def test_exports_are_counted(mesh: Mesh, ada: Person) -> None:
    bob = mesh.state.add_person("Bob")
    async with running(mesh, max_exports=1) as edge, edge.client(ada) as client, edge.client(bob) as other:
        mesh.state.failures["GetSettings"] = AWAY
        async with client.stream("GET", "/export") as answer:
            assert answer.status_code == 200
            assert (await client.get("/export")).status_code == 429
            assert (await other.get("/export")).status_code == 503
        # The client went, and its export with it.
        mesh.state.failures.clear()
        async with asyncio.timeout(5):
            while (await other.get("/export")).status_code == 503:
                await asyncio.sleep(0.01)


async def test_a_client_that_takes_nothing_holds_up_the_reading_and_is_cut_off(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, send_buffer=4096, send_seconds=1) as edge:
        async with edge.client(ada) as client:
            conversation_id = await new_conversation(client)
        write_long(mesh, conversation_id, ada, (token_hex(500) for _ in range(4000)))
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect(("127.0.0.1", edge.port))
            stuck.sendall(f"GET /export HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ada.api_key}\r\n\r\n".encode())
            open_connections = edge.public._server.server_state.connections
            async with asyncio.timeout(15):
                while not mesh.state.calls("ListMessages"):
                    await asyncio.sleep(0.01)
                while open_connections:
                    await asyncio.sleep(0.05)
        # The first reading of the list, and a little of the second.
        assert 20 <= len(mesh.state.calls("ListMessages")) < 25


async def test_an_export_outlives_its_tokens(mesh: Mesh, ada: Person) -> None:
    mesh.state.token_seconds = 16  # of which the last 15 are spare
    async with running(mesh) as edge, edge.client(ada) as client:
        write_long(mesh, await new_conversation(client), ada, ["text"] * 5)
        mesh.state.failures["ListMessages"] = AWAY
        exporting = asyncio.create_task(export(client))
        async with asyncio.timeout(10):
            while len({request.subject_token for request in exchanges(mesh, "history")}) < 2:
                await asyncio.sleep(0.05)
        mesh.state.failures.clear()
        await exporting


def exchanges(mesh: Mesh, audience: str) -> list[ExchangeTokenRequest]:
    requests = [request for request in mesh.state.calls("ExchangeToken") if isinstance(request, ExchangeTokenRequest)]
    return [request for request in requests if request.audience == audience]
