"""What is served where."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.routing import BaseRoute, Route, Router, WebSocketRoute
from starlette.types import ASGIApp

from services.edge.config import Config
from services.edge.context import House
from services.edge.documents import Documents
from services.edge.export.endpoint import ExportOverHttp
from services.edge.gate import Gate
from services.edge.graphiql import graphiql_routes
from services.edge.graphql_http import GraphQLOverHttp
from services.edge.graphql_ws import GraphQLOverWebSocket
from services.edge.health import Health
from services.edge.mesh import open_mesh
from services.edge.metrics import Metrics
from services.edge.operation import Operations
from services.edge.schema import executable
from services.edge.schema.leaving import EXPORT_PATH
from services.edge.seats import Seats
from services.edge.session import SessionCookie, Sessions
from services.edge.watches import Watches


@asynccontextmanager
async def open_house(config: Config) -> AsyncIterator[House]:
    """Everything that requests share. Its watches are yet to be run."""
    async with open_mesh(config) as mesh:
        metrics = Metrics()
        yield House(
            config=config,
            mesh=mesh,
            sessions=Sessions(mesh.tokens, mesh.keys, config.cached_callers),
            cookie=SessionCookie(config.secure_cookie),
            watches=Watches(config, mesh, metrics),
            seats=Seats(
                "sockets and streams",
                per_account=config.max_sockets_per_account,
                total=config.max_connections,
                metrics=metrics,
            ),
            metrics=metrics,
            health=Health(mesh),
            leaving=asyncio.Event(),
        )


def public_app(house: House) -> ASGIApp:
    """For everybody."""
    schema = executable()
    operations = Operations(schema, Documents(schema, house.config), house.metrics)
    routes: list[BaseRoute] = [
        Route("/graphql", GraphQLOverHttp(house, operations)),
        WebSocketRoute("/graphql", GraphQLOverWebSocket(house, operations)),
        Route(EXPORT_PATH, ExportOverHttp(house)),
        Route("/healthz", house.health.alive),
        Route("/readyz", house.health.ready),
        *(graphiql_routes(house.config.graphiql_folder) if house.config.graphiql else ()),
    ]
    return Gate(Router(routes, redirect_slashes=False), house.metrics)


def inner_app(house: House) -> ASGIApp:
    """For the operators of the deployment."""
    routes: list[BaseRoute] = [
        Route("/metrics", house.metrics.page),
        Route("/healthz", house.health.alive),
        Route("/readyz", house.health.ready),
    ]
    return Gate(Router(routes, redirect_slashes=False), house.metrics)
