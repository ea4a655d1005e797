"""One reader of one reply, as a browser would be: it makes a conversation, sends a message and follows the reply.

All on one WebSocket of graphql-transport-ws. While deltas arrive it only keeps them; they are looked into afterwards.
"""

import asyncio
import json
import time
from typing import Any

from benchmarks.streams.arrivals import Arrivals
from benchmarks.streams.web_socket import WebSocket, open_web_socket
from services.chassis.ids import new_id

CREATE = "mutation ($input: CreateConversationInput!) { createConversation(input: $input) { id } }"
SEND = "mutation ($input: SendMessageInput!) { sendMessage(input: $input) { reply { id status } } }"
REPLY = """subscription ($conversationId: ID!, $messageId: ID!, $after: String) {
  reply(conversationId: $conversationId, messageId: $messageId, after: $after) {
    __typename
    ... on ReplyDelta { cursor text }
    ... on ReplyEnded { cursor message { id text status finishReason } }
    ... on ReplyHeartbeat { cursor queuePosition } } }"""
_DELTA, _HEARTBEAT = b'"ReplyDelta"', b'"ReplyHeartbeat"'


class WrongError(Exception):
    """What was read is not the reply."""


class Reply:
    def __init__(self, socket: WebSocket, api_key: str) -> None:
        self._socket, self._key = socket, api_key
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._deltas: list[bytes] = []
        self.arrivals = Arrivals()
        self._ended: dict[str, Any] = {}
        self._asked = 0
        socket.take = self._take

    async def begin(self) -> None:
        """Makes the conversation."""
        self._say(type="connection_init", payload={"authorization": f"Bearer {self._key}"})
        await self._answer("connection_ack")
        made = await self._do(CREATE, input={"id": new_id(), "displayName": "benchmark"})
        self._conversation_id = made["createConversation"]["id"]

    async def send(self, text: str, tokens: int) -> None:
        """Sends the message and begins to follow its reply."""
        reply_id = new_id()
        given = {"messageId": new_id(), "replyId": reply_id, "parameters": {"maxOutputTokens": tokens}}
        await self._do(SEND, input={"conversationId": self._conversation_id, "text": text, **given})
        self.arrivals.bytes = -self._socket.received_bytes
        variables = {"conversationId": self._conversation_id, "messageId": reply_id}
        self._say(id="reply", type="subscribe", payload={"query": REPLY, "variables": variables})

    async def read(self) -> None:
        """Returns when the reply has ended. Raises WrongError unless the deltas are exactly its text."""
        await self._answer("complete")
        self.arrivals.bytes += self._socket.received_bytes
        text = "".join(_event(delta)["text"] for delta in self._deltas)
        if not self._ended or text != self._ended["message"]["text"] or self._ended["message"]["status"] != "COMPLETED":
            raise WrongError(f"{len(text)} characters of deltas, and {str(self._ended)[:200]}")

    def close(self) -> None:
        self._socket.close()

    def _take(self, message: bytes, now: float) -> None:
        if _DELTA in message:
            self._deltas.append(message)
            self.arrivals.times.append(now)
        elif _HEARTBEAT not in message:
            self._take_answer(json.loads(message))

    def _take_answer(self, message: dict[str, Any]) -> None:
        if message.get("id") == "reply" and message["type"] == "next":
            self.arrivals.end = time.time()
            self._ended = message["payload"]["data"]["reply"]
        elif message.get("id") == "reply" or message["type"] == "connection_ack":
            self._answers.put_nowait(message)
        elif message["type"] == "next":
            self._answers.put_nowait(message["payload"])

    async def _do(self, document: str, **variables: Any) -> dict[str, Any]:
        self._asked += 1
        self._say(id=str(self._asked), type="subscribe", payload={"query": document, "variables": variables})
        answer = await self._answers.get()
        if answer.get("errors"):
            raise WrongError(str(answer["errors"])[:500])
        return dict(answer["data"])

    async def _answer(self, kind: str) -> None:
        answer = await self._answers.get()
        if answer.get("type") != kind:
            raise WrongError(str(answer)[:500])

    def _say(self, **message: Any) -> None:
        self._socket.send(json.dumps(message))


def _event(message: bytes) -> dict[str, Any]:
    return dict(json.loads(message)["payload"]["data"]["reply"])


async def open_reply(host: str, port: int, api_key: str) -> Reply:
    reply = Reply(await open_web_socket(host, port, "/graphql", "graphql-transport-ws"), api_key)
    await reply.begin()
    return reply
