import httpx
import pytest

from services.edge.app import inner_app
from services.edge.listener import Listener, bind
from tests.edge.asking import data
from tests.edge.mesh import Mesh
from tests.edge.reply import Reply
from tests.edge.running import Edge, running
from tests.edge.socket import open_socket
from tests.edge.state import Person


async def test_ready_while_the_services_are(edge: Edge) -> None:
    async with edge.client() as client:
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "waitingFor": []})
        assert (await client.get("/healthz")).json() == {"alive": True}


async def test_not_ready_without_each_of_them(mesh: Mesh) -> None:
    for name in ("auth", "conversation", "history", "metadata"):
        await mesh.replica(name).set_ready(False)
    async with running(mesh) as edge, edge.client() as client:
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["waitingFor"]) == (503, ["auth", "conversation", "history", "metadata"])
        assert (await client.get("/healthz")).status_code == 200


async def test_people_can_read_while_there_is_no_engine(mesh: Mesh, edge: Edge) -> None:
    await mesh.replica("inference").kill()
    async with edge.client() as client:
        assert (await client.get("/readyz")).status_code == 200


async def test_unready_before_the_end(edge: Edge) -> None:
    edge.house.health.drain()
    async with edge.client() as client:
        assert (await client.get("/readyz")).json() == {"ready": False, "waitingFor": ["the end of this process"]}


async def test_metrics_are_for_the_inner_port_alone(edge: Edge, ada: Person, reply: Reply) -> None:
    async with edge.client(ada) as client, open_socket(edge, ada) as socket:
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.get("/nowhere")).status_code == 404
        await data(client, "{ viewer { id } }")
        await reply.watch(socket)
        reply.journal.append("Hi")
        await socket.event()
        await socket.event()
        async with (
            Listener(inner_app(edge.house), bind("127.0.0.1", 0), edge.house.config) as inner,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{inner.port}") as operator,
        ):
            page = (await operator.get("/metrics")).text
            assert (await operator.get("/readyz")).status_code == 200
            assert (await operator.get("/graphql")).status_code == 404
    for line in (
        'parley_edge_requests_total{route="/graphql",status="200"} 3.0',
        'parley_edge_requests_total{route="other",status="404"} 1.0',
        'parley_edge_operations_total{kind="query",outcome="ok"} 1.0',
        'parley_edge_sockets{transport="websocket"} 1.0',
        "parley_edge_watches 1.0",
        "parley_edge_deltas_total 1.0",
        "parley_edge_watch_stream_reopenings_total 0.0",
    ):
        assert line in page.splitlines()


async def test_nothing_secret_is_logged(mesh: Mesh, ada: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "services")
    async with running(mesh) as edge, edge.client(ada) as client:
        await client.post("/graphql?key=secret-in-the-address", json={"query": "query SecretName { viewer { id } }"})
        await client.post("/graphql/secret-path", json={"query": "{"})
        async with open_socket(edge, ada) as socket:
            await socket.subscribe("secret-id", "{ nothing(secret: 1) }")
            await socket.receive()
    told = "\n".join(f"{record.getMessage()} {vars(record).get('fields')}" for record in caplog.records)
    assert "milliseconds" in told
    assert "secret" not in told.lower()
    assert ada.api_key not in told
