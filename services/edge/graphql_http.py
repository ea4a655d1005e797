"""GraphQL over HTTP: POST, for queries and mutations, and with Accept: text/event-stream for subscriptions.

There is no GET: a document in an address ends in the logs of every proxy on the way.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.chassis.errors import DomainError, Reason
from services.edge.context import Context, House
from services.edge.errors import BAD_USER_INPUT, Invalid, Refused, Wire, domain_error, refused, status_of
from services.edge.event_stream import encode_json, encode_single, event_stream
from services.edge.negotiation import EVENT_STREAM, GRAPHQL_JSON, JSON, Accepted, accepted, require_json
from services.edge.operation import Operation, Operations
from services.edge.origin import CSRF_HEADER, is_ours
from services.edge.request import read_json, read_request
from services.edge.session import bearer

_EXTRA_HEADERS = {
    401: {"www-authenticate": "Bearer"},
    405: {"allow": "POST"},
    # What is still to come of the body is not waited for.
    408: {"connection": "close"},
    413: {"connection": "close"},
    503: {"retry-after": "1"},
}


class GraphQLOverHttp:
    def __init__(self, house: House, operations: Operations) -> None:
        self._house, self._config, self._operations = house, house.config, operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(Request(scope, receive))
        except ClientDisconnect:
            return  # nobody is left to answer
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        media_type = GRAPHQL_JSON
        try:
            if request.method != "POST":
                raise refused(BAD_USER_INPUT, "Send the operation with POST, or open a WebSocket.", 405)
            takes = accepted(request.headers.get("accept"))
            media_type = takes.answer or GRAPHQL_JSON
            require_json(request.headers.get("content-type"))
            context = await self._context(request)
            graphql = read_request(read_json(await self._body(request)))
            return await self._execute(self._operations.prepare(graphql, context), context, takes)
        except Refused as error:
            status = 200 if isinstance(error, Invalid) and media_type == JSON else error.status
            return _answer({"errors": error.errors}, media_type, status)
        except DomainError as error:
            return _answer({"errors": [domain_error(error)]}, media_type, status_of(error))

    async def _context(self, request: Request) -> Context:
        credential = bearer(request.headers.get("authorization"))
        if credential:
            caller = await self._house.sessions.caller(credential)
            return Context(self._house, caller, credential, can_set_cookies=True)
        credential = self._house.cookie.read(request.cookies)
        if credential is None:
            return Context(self._house, None, can_set_cookies=True)
        if CSRF_HEADER not in request.headers or not is_ours(request.headers):
            message = f"A request with the session cookie comes from our own pages, with the header {CSRF_HEADER}."
            raise DomainError(Reason.PERMISSION_DENIED, message)
        try:
            caller = await self._house.sessions.caller(credential)
        except DomainError as error:
            if error.reason is not Reason.UNAUTHENTICATED:
                raise
            # Whoever's session has ended may still sign in.
            return Context(self._house, None, credential, can_set_cookies=True)
        return Context(self._house, caller, credential, can_set_cookies=True)

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._config.body_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._config.max_body_bytes:
                        message = f"A request may have {self._config.max_body_bytes} bytes."
                        raise refused(BAD_USER_INPUT, message, 413)
        except TimeoutError:
            raise refused(BAD_USER_INPUT, "The request did not arrive in time.", 408) from None
        return bytes(body)

    async def _execute(self, operation: Operation, context: Context, takes: Accepted) -> ASGIApp:
        if not operation.is_subscription:
            result = await operation.result(self._config.operation_seconds)
            return _answer(result, takes.answer, cookies=context.set_cookies)
        if not takes.stream:
            raise refused(BAD_USER_INPUT, f"A subscription needs Accept: {EVENT_STREAM}, or a WebSocket.", 406)
        seat = ExitStack()
        seat.enter_context(self._house.seats.take(context.require_caller(), "sse"))
        return event_stream(operation.events(), seat, self._house.leaving, self._config.send_seconds)


def _answer(answer: Wire, media_type: str | None, status: int = 200, cookies: list[str] | None = None) -> Response:
    """One answer, by the client's media type; as a stream of one where it takes nothing else."""
    encode: Callable[[Wire], bytes] = encode_json if media_type else encode_single
    content_type = f"{media_type or EVENT_STREAM}; charset=utf-8"
    response = Response(encode(answer), status, {"cache-control": "no-store", "content-type": content_type})
    response.headers.update(_EXTRA_HEADERS.get(status, {}))
    for cookie in cookies or ():
        response.headers.append("set-cookie", cookie)
    return response
