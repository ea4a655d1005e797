"""A client of graphql-transport-ws that hides nothing."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.edge.running import Edge
from tests.edge.state import Person

REPLY = """
subscription Reply($conversationId: ID!, $messageId: ID!, $after: String) {
  reply(conversationId: $conversationId, messageId: $messageId, after: $after) {
    __typename
    ... on ReplyDelta { cursor text }
    ... on ReplyHeartbeat { cursor queuePosition }
    ... on ReplyEnded { cursor message { id text status finishReason siblingIds } }
  }
}
"""


class Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **message: object) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.connection.recv())
        return message

    async def greet(self, person: Person | None = None) -> None:
        payload = {"authorization": f"Bearer {person.api_key}"} if person else {}
        await self.send(type="connection_init", payload=payload)
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, operation_id: str, query: str, **variables: object) -> None:
        await self.send(id=operation_id, type="subscribe", payload={"query": query, "variables": variables})

    async def watch(self, operation_id: str, conversation_id: str, message_id: str, after: str | None = None) -> None:
        await self.subscribe(operation_id, REPLY, conversationId=conversation_id, messageId=message_id, after=after)

    async def event(self) -> dict[str, Any]:
        """The next event of the one subscription of this socket."""
        message = await self.receive()
        assert message["type"] == "next", message
        event: dict[str, Any] = message["payload"]["data"]["reply"]
        return event

    async def closed(self) -> tuple[int | None, str | None]:
        """How the other side ends it."""
        await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def open_socket(
    edge: Edge,
    person: Person | None = None,
    *,
    protocol: str = "graphql-transport-ws",
    cookie: str = "",
    origin: str = "",
    path: str = "/graphql",
) -> AsyncIterator[Socket]:
    """A socket; with a person, one that is greeted already."""
    async with connect(
        f"ws://127.0.0.1:{edge.port}{path}",
        subprotocols=[Subprotocol(protocol)],
        additional_headers={"cookie": cookie} if cookie else None,
        origin=Origin(origin) if origin else None,
        compression=None,
        max_size=None,
    ) as connection:
        socket = Socket(connection)
        if person:
            await socket.greet(person)
        yield socket
