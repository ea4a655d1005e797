import re
from pathlib import Path

from tests.edge.mesh import Mesh
from tests.edge.running import running

MODULES = Path(__file__).parents[2] / "node_modules"


async def test_everything_comes_from_our_own_origin(mesh: Mesh) -> None:
    async with running(mesh, graphiql_folder=MODULES) as edge, edge.client() as client:
        page = await client.get("/graphiql")
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "unsafe" not in policy
        files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(files) == 6
        for path in files:
            assert path.startswith("/graphiql/")
            response = await client.get(path)
            assert (response.status_code, len(response.content) > 30) == (200, True)
            again = await client.get(path, headers={"if-none-match": response.headers["etag"]})
            assert again.status_code in (200, 304)
        assert "<script>" not in page.text
        assert (await client.get("/graphiql/package.json")).status_code == 404


async def test_where_it_is_not_installed_the_page_says_how(mesh: Mesh, tmp_path: Path) -> None:
    async with running(mesh, graphiql_folder=tmp_path) as edge, edge.client() as client:
        page = await client.get("/graphiql")
        assert page.status_code == 503
        assert "npm ci" in page.text
        assert "PARLEY_GRAPHIQL_FOLDER" in page.text


async def test_it_can_be_turned_off(mesh: Mesh) -> None:
    async with running(mesh, graphiql=False) as edge, edge.client() as client:
        assert (await client.get("/graphiql")).status_code == 404
