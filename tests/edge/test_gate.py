import httpx
import pytest
from starlette.types import Receive, Scope, Send

from services.edge.gate import Gate
from services.edge.listener import Listener, bind
from services.edge.metrics import Metrics
from tests.edge.mesh import Mesh
from tests.edge.running import running


async def broken(_: Scope, __: Receive, ___: Send) -> None:
    raise RuntimeError("secret prompt")


async def test_the_last_line(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        running(mesh) as edge,
        Listener(Gate(broken, Metrics()), bind("127.0.0.1", 0), edge.house.config) as listener,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}") as client,
    ):
        response = await client.get("/anything")
    assert response.status_code == 500
    [told] = response.json()["errors"]
    assert told["extensions"]["code"] == "INTERNAL"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert told["extensions"]["metadata"]["errorId"] in {
        vars(record).get("fields", {}).get("error_id") for record in caplog.records
    }
    assert "secret prompt" not in caplog.text + response.text
