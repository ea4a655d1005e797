"""GraphQL over server-sent events, byte by byte."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from services.chassis.ids import new_id
from tests.edge.mesh import Mesh
from tests.edge.reply import TEXT, WORDS, Reply, new_reply
from tests.edge.running import Edge, running
from tests.edge.socket import REPLY
from tests.edge.state import Person


class Events:
    """The events of a response as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response, self._lines = response, response.aiter_lines()

    async def next(self) -> tuple[str, dict[str, Any]]:
        """An event's name and its data."""
        name, data = "", ""
        async for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
            elif not line and name:
                return name, json.loads(data or "{}")
        raise EOFError

    async def reply(self) -> dict[str, Any]:
        name, answer = await self.next()
        assert name == "next", (name, answer)
        event: dict[str, Any] = answer["data"]["reply"]
        return event


@asynccontextmanager
async def watching(
    client: httpx.AsyncClient, reply: Reply, message_id: str = "", after: str = ""
) -> AsyncIterator[Events]:
    variables = {"conversationId": reply.conversation_id, "messageId": message_id or reply.message_id, "after": after}
    request = {"query": REPLY, "variables": variables}
    async with client.stream("POST", "/graphql", json=request, headers={"accept": "text/event-stream"}) as response:
        yield Events(response)


async def test_a_reply_as_events(client: httpx.AsyncClient, reply: Reply) -> None:
    async with watching(client, reply) as events:
        assert events.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.response.headers["x-accel-buffering"] == "no"
        assert events.response.headers["cache-control"] == "no-store, no-transform"
        assert (await events.reply())["__typename"] == "ReplyHeartbeat"
        text = ""
        for word in WORDS:
            reply.journal.append(word)
        reply.journal.end()
        while (event := await events.reply())["__typename"] != "ReplyEnded":
            text += event["text"]
        assert text == event["message"]["text"] == TEXT
        assert await events.next() == ("complete", {})
        with pytest.raises(EOFError):
            await events.next()


async def test_a_stream_whose_reply_did_not_end_is_cut(client: httpx.AsyncClient, edge: Edge, reply: Reply) -> None:
    async with watching(client, reply) as events:
        await events.reply()
        edge.house.leaving.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await events.next()


async def test_a_refusal_is_an_error_event_and_then_a_cut(client: httpx.AsyncClient, reply: Reply) -> None:
    async with watching(client, reply, message_id=new_id()) as events:
        await events.reply()
        name, answer = await events.next()
        assert (name, answer["errors"][0]["extensions"]) == ("next", {"code": "NOT_FOUND"})
        with pytest.raises(httpx.RemoteProtocolError):
            await events.next()


async def test_going_on_after_a_cursor(client: httpx.AsyncClient, reply: Reply) -> None:
    reply.journal.append("Hello")
    async with watching(client, reply, after="c2") as events:
        assert (await events.reply())["cursor"] == "c2"
        assert await events.reply() == {"__typename": "ReplyDelta", "cursor": "c5", "text": "llo"}


async def test_a_client_that_goes_stops_its_watch(client: httpx.AsyncClient, mesh: Mesh, reply: Reply) -> None:
    async with watching(client, reply) as events:
        await events.reply()
        while not mesh.fakes()[0].starts:
            await mesh.state.commands.wait()
        mesh.state.commands.clear()
    async with asyncio.timeout(5):
        await mesh.state.commands.wait()
    assert len(mesh.fakes()[0].stops) == 1


async def test_streams_take_seats(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, max_sockets_per_account=1) as edge, edge.client(ada) as client:
        reply = await new_reply(edge, ada)
        async with watching(client, reply) as events, watching(client, reply) as more:
            assert (events.response.status_code, more.response.status_code) == (200, 429)


async def test_whoever_takes_both_gets_the_stream_for_a_subscription_alone(
    edge: Edge, ada: Person, reply: Reply
) -> None:
    accept = {"accept": "application/graphql-response+json, text/event-stream"}
    async with edge.client(ada) as client:
        single = await client.post("/graphql", json={"query": "{ __typename }"}, headers=accept)
        assert single.json() == {"data": {"__typename": "Query"}}
        variables = {"conversationId": reply.conversation_id, "messageId": reply.message_id}
        request = {"query": REPLY, "variables": variables}
        async with client.stream("POST", "/graphql", json=request, headers=accept) as response:
            assert (await Events(response).reply())["__typename"] == "ReplyHeartbeat"


async def test_nobody_watches_nothing(edge: Edge, reply: Reply) -> None:
    async with edge.client() as client, watching(client, reply) as events:
        assert events.response.status_code == 401
