"""Somebody who uses the mesh through its public door: GraphQL over HTTP, and subscriptions over a WebSocket."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from services.chassis.ids import new_id

MESSAGE = "id parentId role text status model finishReason failureReason contextStartId siblingIds"
SEND = f"""mutation ($input: SendMessageInput!) {{
  sendMessage(input: $input) {{ userMessage {{ {MESSAGE} }} reply {{ {MESSAGE} }} }} }}"""
REGENERATE = f"mutation ($input: RegenerateReplyInput!) {{ regenerateReply(input: $input) {{ {MESSAGE} }} }}"
CANCEL = f"""mutation ($id: ID!, $conversationId: ID!) {{
  cancelReply(messageId: $id, conversationId: $conversationId) {{ {MESSAGE} }} }}"""
MESSAGES = f"""query ($id: ID!, $leaf: ID) {{ conversation(id: $id) {{
  displayName currentLeafId messages(leafId: $leaf, last: 100) {{ nodes {{ {MESSAGE} }} }} }} }}"""
ONE_MESSAGE = f"""query ($id: ID!, $conversationId: ID!) {{
  message(id: $id, conversationId: $conversationId) {{ {MESSAGE} usage {{ promptTokens completionTokens }} }} }}"""
REPLY = f"""subscription ($conversationId: ID!, $messageId: ID!, $after: String) {{
  reply(conversationId: $conversationId, messageId: $messageId, after: $after) {{
    __typename
    ... on ReplyDelta {{ cursor text }}
    ... on ReplyEnded {{ cursor message {{ {MESSAGE} }} }}
    ... on ReplyHeartbeat {{ cursor queuePosition }} }} }}"""


class RefusedError(Exception):
    """The mesh answered with errors."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(json.dumps(errors))
        self.errors = errors
        self.code: str = errors[0]["extensions"]["code"]


@dataclass(slots=True)
class Read:
    """What a reader has seen of a reply."""

    text: str = ""
    cursor: str | None = None
    ended: dict[str, Any] | None = None


class Person:
    def __init__(self, url: str, api_key: str) -> None:
        self._url, self._key = url, api_key
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=30)

    async def query(self, document: str, **variables: Any) -> dict[str, Any]:
        response = await self.http.post("/graphql", json={"query": document, "variables": variables})
        answer = response.json()
        if answer.get("errors"):
            raise RefusedError(answer["errors"])
        return dict(answer["data"])

    async def new_conversation(self, **fields: Any) -> str:
        """A conversation that has a name, unless told otherwise: one without is given a title by the model."""
        created = await self.query(
            "mutation ($input: CreateConversationInput!) { createConversation(input: $input) { id } }",
            input={"id": new_id(), "displayName": "named", **fields},
        )
        return str(created["createConversation"]["id"])

    async def send(self, conversation_id: str, text: str, **fields: Any) -> dict[str, Any]:
        """{userMessage, reply}; ids of this client's making unless given."""
        given = {"messageId": new_id(), "replyId": new_id(), **fields}
        answer = await self.query(SEND, input={"conversationId": conversation_id, "text": text, **given})
        return dict(answer["sendMessage"])

    async def cancel(self, reply: dict[str, Any], conversation_id: str) -> dict[str, Any]:
        return dict((await self.query(CANCEL, id=reply["id"], conversationId=conversation_id))["cancelReply"])

    async def messages(self, conversation_id: str, leaf: str | None = None) -> list[dict[str, Any]]:
        answer = await self.query(MESSAGES, id=conversation_id, leaf=leaf)
        return list(answer["conversation"]["messages"]["nodes"])

    async def message(self, conversation_id: str, message_id: str) -> dict[str, Any]:
        return dict((await self.query(ONE_MESSAGE, id=message_id, conversationId=conversation_id))["message"])

    async def read(self, conversation_id: str, message_id: str, read: Read | None = None) -> Read:
        """Reads a reply to its end, on from what was read before; a lost socket is opened again at the cursor."""
        read = read or Read()
        while read.ended is None:
            async with aclosing(self.events(conversation_id, message_id, read)) as events:
                async for _ in events:
                    pass
        return read

    async def read_some(self, conversation_id: str, message_id: str, characters: int) -> Read:
        """Reads until so many characters came, and then cuts the socket."""
        read = Read()
        async with aclosing(self.events(conversation_id, message_id, read)) as events:
            async for _ in events:
                if len(read.text) >= characters:
                    break
        return read

    async def events(self, conversation_id: str, message_id: str, read: Read) -> AsyncGenerator[dict[str, Any]]:
        """The events of one subscription, taken down in `read`; ends with it, or when the socket breaks."""
        async with self.socket() as socket:
            variables = {"conversationId": conversation_id, "messageId": message_id, "after": read.cursor}
            await socket.send(
                json.dumps({"id": "1", "type": "subscribe", "payload": {"query": REPLY, "variables": variables}})
            )
            async for frame in socket:
                message = json.loads(frame)
                if message["type"] == "error":
                    raise RefusedError(message["payload"])
                if message["type"] == "complete":
                    return
                if message["type"] == "next":
                    if message["payload"].get("errors"):
                        raise RefusedError(message["payload"]["errors"])
                    event = message["payload"]["data"]["reply"]
                    _take_down(event, read)
                    yield event

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[ClientConnection]:
        address = self._url.replace("http://", "ws://") + "/graphql"
        async with (
            asyncio.timeout(None),
            connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], max_size=2**24) as socket,
        ):
            payload = {"authorization": f"Bearer {self._key}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            yield socket

    async def close(self) -> None:
        await self.http.aclose()


def _take_down(event: dict[str, Any], read: Read) -> None:
    read.cursor = event["cursor"]
    if event["__typename"] == "ReplyDelta":
        read.text += event["text"]
    elif event["__typename"] == "ReplyEnded":
        read.ended = event["message"]
