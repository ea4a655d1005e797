"""GraphiQL, from files of this machine alone."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

PAGES = Path(__file__).parent / "pages"
INSTALLED = {
    "react.js": "react/umd/react.production.min.js",
    "react-dom.js": "react-dom/umd/react-dom.production.min.js",
    "graphiql.js": "graphiql/graphiql.min.js",
    "graphiql.css": "graphiql/graphiql.min.css",
}
"""What npm installed, by the names that the page calls it."""
OWN = {"page.js": "graphiql.js", "page.css": "graphiql.css"}

NOT_INSTALLED = """GraphiQL is not installed.

Run `npm ci` where package.json lies. If its modules lie elsewhere, name their folder in PARLEY_GRAPHIQL_FOLDER. Then
start the edge again.
"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""No script and no style but our files. GraphiQL's dialogs would write a style that stops the page behind them from
scrolling; it does not scroll."""


def graphiql_routes(folder: Path) -> list[Route]:
    files = {name: folder / path for name, path in INSTALLED.items()} | {
        name: PAGES / path for name, path in OWN.items()
    }

    missing = [path for path in files.values() if not path.is_file()]

    async def page(_: Request) -> Response:
        if missing:
            return PlainTextResponse(NOT_INSTALLED, 503)
        headers = {"content-security-policy": POLICY, "cache-control": "no-cache"}
        return FileResponse(PAGES / "graphiql.html", headers=headers)

    routes = [Route("/graphiql", page)]
    if not missing:
        routes += [Route(f"/graphiql/{name}", _file(path)) for name, path in files.items()]
    return routes


def _file(path: Path) -> Callable[[Request], Awaitable[Response]]:
    async def send(_: Request) -> Response:
        return FileResponse(path, headers={"cache-control": "no-cache"})

    return send
