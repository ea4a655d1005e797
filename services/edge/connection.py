"""One WebSocket of graphql-transport-ws, from its greeting to its end.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
from contextlib import ExitStack, aclosing

from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller
from services.chassis.telemetry import current_trace, start_trace
from services.edge.context import Context, House
from services.edge.encoding import encode
from services.edge.errors import Refused, Wire, domain_error
from services.edge.messages import Closed, Messages
from services.edge.operation import Operations
from services.edge.request import GraphQLRequest, read_request
from services.edge.session import Credential, bearer, unauthenticated

MAX_ID_LENGTH = 256


class Connection:
    def __init__(self, house: House, operations: Operations, messages: Messages, credential: Credential | None) -> None:
        """`credential`: of the cookie, where there is one that counts."""
        self._house, self._operations, self._messages = house, operations, messages
        self._credential = credential
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Serves until the socket is over, then ends what runs on it. Raises a group of Closed."""
        async with asyncio.TaskGroup() as group:
            with ExitStack() as seat:
                await self._greet(seat)
                await self._messages.send({"type": "connection_ack"})
                while True:
                    await self._handle(await self._messages.receive(), group)

    async def _greet(self, seat: ExitStack) -> None:
        try:
            async with asyncio.timeout(self._house.config.connection_init_seconds):
                message = await self._messages.receive()
                while message.get("type") in ("ping", "pong"):
                    await self._pong(message)
                    message = await self._messages.receive()
        except TimeoutError:
            raise Closed(4408, "Connection initialisation timeout") from None
        if message.get("type") != "connection_init":
            raise Closed(4401, "Unauthorized")
        payload = message.get("payload") or {}
        if not isinstance(payload, dict):
            raise Closed(4400, "The payload is an object")
        try:
            self._credential = bearer(payload.get("authorization")) or self._credential
            seat.enter_context(self._house.seats.take(await self._caller(), "websocket"))
        except DomainError as error:
            raise _closed(error) from None

    async def _caller(self) -> Caller:
        # Asked again for each operation: a socket outlives tokens, and keys are revoked.
        if self._credential is None:
            raise unauthenticated()
        return await self._house.sessions.caller(self._credential)

    async def _handle(self, message: dict[str, object], group: asyncio.TaskGroup) -> None:
        match message.get("type"):
            case "subscribe":
                await self._subscribe(message, group)
            case "complete":
                if task := self._running.pop(str(message.get("id")), None):
                    task.cancel()
            case "ping" | "pong":
                await self._pong(message)
            case "connection_init":
                raise Closed(4429, "Too many initialisation requests")
            case _:
                raise Closed(4400, "Unknown type of message")

    async def _pong(self, message: dict[str, object]) -> None:
        if message.get("type") == "ping":
            await self._messages.send({"type": "pong"})

    async def _subscribe(self, message: dict[str, object], group: asyncio.TaskGroup) -> None:
        operation_id = message.get("id")
        if not isinstance(operation_id, str) or not 0 < len(operation_id) <= MAX_ID_LENGTH:
            raise Closed(4400, "An operation has an id")
        if operation_id in self._running:
            raise Closed(4409, "Subscriber already exists")
        try:
            request = read_request(message.get("payload"))
        except Refused as error:
            raise Closed(4400, str(error.errors[0]["message"])) from None
        limit = self._house.config.max_operations_per_socket
        if len(self._running) >= limit:
            too_many = DomainError(Reason.LIMIT_EXCEEDED, f"A socket may run {limit} operations at once.")
            await self._fail(operation_id, [domain_error(too_many)])
            return
        self._running[operation_id] = group.create_task(self._operate(operation_id, request))

    async def _operate(self, operation_id: str, request: GraphQLRequest) -> None:
        current_trace.set(start_trace())
        try:
            await self._answer(operation_id, request)
        except Refused as error:
            self._forget(operation_id)
            await self._fail(operation_id, error.errors)
        else:
            self._forget(operation_id)
            await self._messages.send({"id": operation_id, "type": "complete"})

    async def _answer(self, operation_id: str, request: GraphQLRequest) -> None:
        try:
            context = Context(self._house, await self._caller(), self._credential)
        except DomainError as error:
            raise Refused([domain_error(error)]) from None
        operation = self._operations.prepare(request, context)
        if operation.is_subscription:
            async with aclosing(operation.events()) as answers:
                async for answer in answers:
                    await self._next(operation_id, answer)
        else:
            await self._next(operation_id, encode(await operation.result(self._house.config.operation_seconds)))

    def _forget(self, operation_id: str) -> None:
        """Before the last message of an operation, after which the client may use its id again."""
        if self._running.get(operation_id) is asyncio.current_task():
            del self._running[operation_id]

    async def _next(self, operation_id: str, answer: str) -> None:
        """`answer`: as JSON."""
        await self._messages.send_text(f'{{"id":{encode(operation_id)},"type":"next","payload":{answer}}}')

    async def _fail(self, operation_id: str, errors: list[Wire]) -> None:
        await self._messages.send({"id": operation_id, "type": "error", "payload": errors})


def _closed(error: DomainError) -> Closed:
    if error.reason in (Reason.UNAUTHENTICATED, Reason.PERMISSION_DENIED):
        return Closed(4403, "Forbidden")
    return Closed(1013, "Try again later")
