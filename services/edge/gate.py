"""The outermost layer: every request gets a trace, safe headers and a line in the log, and no error leaves unread."""

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis.telemetry import REQUEST_ID_KEY, TRACE_KEY, current_trace, log, start_trace
from services.edge.errors import failure
from services.edge.metrics import Metrics

logger = logging.getLogger(__name__)

SAFE_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""For every response; a page of ours sets a policy of its own."""


ROUTES = frozenset({"/graphql", "/graphiql", "/export", "/healthz", "/readyz", "/metrics"})
"""Counted and logged by name; all other paths are one."""


class Gate:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        trace = start_trace(headers.get(REQUEST_ID_KEY, ""), headers.get(TRACE_KEY, ""))
        current_trace.set(trace)
        route = scope["path"] if scope["path"] in ROUTES else "other"
        started = time.monotonic()
        status = 0

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._count(route, status, time.monotonic() - started)
                _make_safe(message, trace.request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_safely)
        except Exception as error:  # noqa: BLE001 - the last line: nothing of it may reach the client or the server's log
            answer = JSONResponse({"errors": [failure(error)]}, 500)
            if scope["type"] == "http" and not status:
                await answer(scope, receive, send_safely)
        took = round((time.monotonic() - started) * 1000, 1)
        log(logger, logging.INFO, scope["type"], route=route, status=status or None, milliseconds=took)

    def _count(self, route: str, status: int, seconds: float) -> None:
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)


def _make_safe(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers[REQUEST_ID_KEY] = request_id
    for name, value in SAFE_HEADERS.items():
        headers.setdefault(name, value)
