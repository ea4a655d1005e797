"""What the edge counts, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self.requests = Counter(
            "parley_edge_requests", "HTTP requests, by route and status.", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "parley_edge_request_seconds", "Until the answer began.", ["route"], buckets=_SECONDS, registry=registry
        )
        self.operations = Counter(
            "parley_edge_operations", "GraphQL operations, by kind and outcome.", ["kind", "outcome"], registry=registry
        )
        self.operation_seconds = Histogram(
            "parley_edge_operation_seconds", "Queries and mutations.", ["kind"], buckets=_SECONDS, registry=registry
        )
        self.sockets = Gauge(
            "parley_edge_sockets", "Open WebSockets and event streams.", ["transport"], registry=registry
        )
        self.watches = Gauge("parley_edge_watches", "Replies and accounts that are watched.", registry=registry)
        self.deltas = Counter("parley_edge_deltas", "Deltas given to subscribers.", registry=registry)
        self.reopenings = Counter(
            "parley_edge_watch_stream_reopenings", "Streams of watches that were lost.", registry=registry
        )

    async def page(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
