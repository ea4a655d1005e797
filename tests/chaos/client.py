"""A person who never gives up, and takes down all there is to see: sends again under the same ids until acknowledged,
watches again from the cursor after any loss, silence included."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from services.chassis.ids import new_id
from tests.chaos.record import Asked, Event, History, Question
from tests.chaos.stream import Stream
from tests.mesh.person import REGENERATE, REPLY, Person, RefusedError

TEMPORARY = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "ENGINE_OVERLOADED"}
"""What a client tries again after."""
ATTEMPT_SECONDS = 8.0
PAUSE_SECONDS = 0.25
PATIENCE_SECONDS = 180.0
"""For one call with all its attempts, and for a watcher without news: longer than any fault and what follows it."""
SILENCE_SECONDS = 20.0
"""A subscription is promised to say something every 15 s."""
CONNECT_SECONDS = 5.0
BROKEN = (TimeoutError, OSError, ValueError, httpx.HTTPError, WebSocketException)
"""How a call or a socket may break; ValueError: an answer that is not JSON."""

MUTATIONS = frozenset({"create", "send", "regenerate", "cancel"})
Echo = Callable[[str, Callable[[], Awaitable[Any]]], None]
"""Is told the name of each mutation and how it is called, for whoever wants it delivered more than once."""

_watchers = itertools.count(1)


class Client:
    def __init__(self, account: str, url: str, api_key: str, history: History) -> None:
        self.account, self._history = account, history
        self._url, self._key = url, api_key
        self.person = Person(url, api_key)
        self.sockets = set[ClientConnection]()
        """Those on which it watches just now."""
        self.echo: Echo | None = None
        self.person.http.event_hooks["response"].append(self._take_down)

    async def close(self) -> None:
        await self.person.close()

    # -- calls -------------------------------------------------------------------------------------------------------

    async def new_conversation(self) -> str:
        conversation_id = new_id()
        await self.insist("create", lambda: self.person.new_conversation(id=conversation_id))
        return conversation_id

    async def ask(self, conversation_id: str, question: Question, parent_id: str | None = None) -> Stream:
        """Sends a message; its reply, yet to be watched."""
        message_id, reply_id, began = new_id(), new_id(), time.monotonic()
        fields: dict[str, Any] = {"messageId": message_id, "replyId": reply_id, "parameters": {"seed": question.seed}}
        fields |= {"parentId": parent_id} if parent_id else {}
        await self.insist("send", lambda: self.person.send(conversation_id, question.text, **fields))
        asked = Asked(
            *(self.account, conversation_id, message_id, reply_id, parent_id, question, began, time.monotonic())
        )
        return self._acknowledged(asked)

    async def regenerate(self, earlier: Asked) -> Stream:
        """Asks for another reply to the same message; with the same seed, so that it says the same."""
        reply_id, began = new_id(), time.monotonic()
        ids = {"conversationId": earlier.conversation_id, "messageId": earlier.reply_id, "replyId": reply_id}
        wish = {**ids, "parameters": {"seed": earlier.question.seed}}
        await self.insist("regenerate", lambda: self.person.query(REGENERATE, input=wish))
        asked = Asked(
            *(self.account, earlier.conversation_id, earlier.message_id, reply_id),
            *(earlier.parent_id, earlier.question, began, time.monotonic()),
        )
        return self._acknowledged(asked)

    async def cancel(self, asked: Asked) -> None:
        self._history.cancelled.add(asked.reply_id)
        reply = {"id": asked.reply_id}
        await self.insist("cancel", lambda: self.person.cancel(reply, asked.conversation_id))

    async def insist(self, what: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Calls until answered. Raises RefusedError for a refusal that is not temporary, TimeoutError in the end."""
        if self.echo and what in MUTATIONS:
            self.echo(what, call)
        until = time.monotonic() + PATIENCE_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left, ATTEMPT_SECONDS)):
                    return await call()
            except RefusedError as refused:
                self._history.refused(self.account, what, refused.code)
                if refused.code not in TEMPORARY:
                    raise
            except BROKEN as broken:
                self._history.refused(self.account, what, type(broken).__name__)
            await asyncio.sleep(PAUSE_SECONDS)
        raise TimeoutError(f"{self.account} gave up: {what}")

    def _acknowledged(self, asked: Asked) -> Stream:
        self._history.asked.append(asked)
        return self.watcher(asked)

    async def _take_down(self, response: httpx.Response) -> None:
        await response.aread()
        self._history.received.append((self.account, response.text))

    # -- watching ----------------------------------------------------------------------------------------------------

    def watcher(self, asked: Asked) -> Stream:
        """One more watcher of a reply."""
        return Stream(asked, next(_watchers))

    async def watch(self, stream: Stream) -> None:
        """Until the reply ended, or this watcher has had no news for longer than anybody's patience."""
        until = time.monotonic() + PATIENCE_SECONDS
        try:
            while stream.ended is None and time.monotonic() < until:
                seen = len(stream.text)
                await self._watch_once(stream)
                if len(stream.text) > seen:
                    until = time.monotonic() + PATIENCE_SECONDS
            if stream.ended is None:
                self._history.failures.append(f"watcher of {stream.asked.reply_id} gave up after {len(stream.text)}")
        finally:
            stream.over.set()

    async def _watch_once(self, stream: Stream) -> None:
        """On one socket, as long as it holds."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), AsyncExitStack() as opened:
                socket = await opened.enter_async_context(self._socket())
                self.sockets.add(socket)
                opened.callback(self.sockets.discard, socket)
                await self._subscribe(socket, stream)
                while stream.ended is None:
                    await asyncio.sleep(stream.pause)
                    message = await self._receive(socket)
                    if message["type"] == "complete":
                        self._history.failures.append(f"{stream.asked.reply_id}: its stream ended without its end")
                        return
                    self._take_event(message, stream)
        except RefusedError as refused:
            self._history.refused(self.account, "watch", refused.code)
            if refused.code not in TEMPORARY:
                raise
        except BROKEN as broken:
            self._history.refused(self.account, "watch", type(broken).__name__)
        if stream.ended is None:
            await asyncio.sleep(PAUSE_SECONDS)

    def _socket(self) -> connect:
        address = self._url.replace("http://", "ws://") + "/graphql"
        protocols = [Subprotocol("graphql-transport-ws")]
        return connect(
            address, subprotocols=protocols, max_size=2**24, open_timeout=CONNECT_SECONDS, close_timeout=CONNECT_SECONDS
        )

    async def _subscribe(self, socket: ClientConnection, stream: Stream) -> None:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {self._key}"}}))
        await self._receive(socket)  # the acknowledgement: anything else closes the socket
        asked = stream.asked
        ids = {"conversationId": asked.conversation_id, "messageId": asked.reply_id, "after": stream.cursor}
        payload = {"query": REPLY, "variables": ids}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))

    async def _receive(self, socket: ClientConnection) -> dict[str, Any]:
        async with asyncio.timeout(SILENCE_SECONDS):
            frame = await socket.recv(decode=True)
        self._history.received.append((self.account, frame))
        return dict(json.loads(frame))

    def _take_event(self, message: dict[str, Any], stream: Stream) -> None:
        if message["type"] == "error":
            raise RefusedError(list(message["payload"]))
        if message["type"] != "next":
            return
        if message["payload"].get("errors"):
            raise RefusedError(list(message["payload"]["errors"]))
        event = message["payload"]["data"]["reply"]
        text, ended = event.get("text", ""), event.get("message")
        stream.text += text
        stream.cursor, stream.ended = event["cursor"], ended
        taken = Event(stream.watcher, stream.asked.reply_id, event["cursor"], time.monotonic(), text, ended)
        self._history.events.append(taken)
