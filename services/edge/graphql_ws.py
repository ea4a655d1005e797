"""GraphQL over WebSocket: the protocol graphql-transport-ws, and no older one."""

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from services.edge.connection import Connection
from services.edge.context import House
from services.edge.messages import Closed, Messages
from services.edge.operation import Operations
from services.edge.origin import is_ours

PROTOCOL = "graphql-transport-ws"


class GraphQLOverWebSocket:
    def __init__(self, house: House, operations: Operations) -> None:
        self._house, self._operations = house, operations
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        if self._open >= self._house.config.max_connections:
            await socket.close()  # not accepted yet, so this is a 403
            return
        self._open += 1
        try:
            await self._serve(socket)
        finally:
            self._open -= 1

    async def _serve(self, socket: WebSocket) -> None:
        messages = Messages(socket, self._house.config.send_seconds, self._house.config.max_waiting_per_socket)
        spoken = PROTOCOL in socket.scope["subprotocols"]
        await socket.accept(PROTOCOL if spoken else None)
        try:
            if not spoken:
                raise Closed(4406, f"Subprotocol not acceptable: only {PROTOCOL} is spoken here")
            # Another site's page brings the cookie along, so there it proves nothing.
            credential = self._house.cookie.read(socket.cookies) if is_ours(socket.headers) else None
            await Connection(self._house, self._operations, messages, credential).run()
        except* Closed as over:
            await messages.close(_first(over))


def _first(over: BaseExceptionGroup[Closed]) -> Closed:
    leaf: BaseException = over
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, Closed)
    return leaf
