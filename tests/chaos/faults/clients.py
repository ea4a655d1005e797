"""Clients that misbehave, or whose networks do: cut, doubled, late, slow, deaf, and all at once."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from random import Random
from typing import Any, cast

import httpx
from websockets.asyncio.client import ClientConnection

from tests.chaos.arena import Arena
from tests.chaos.client import BROKEN, TEMPORARY, Client
from tests.chaos.fault import Fault, Strike
from tests.chaos.record import Asked, Question
from tests.mesh.person import REPLY, RefusedError

SECONDS = 6.0
"""How long a fault lasts that has no end of its own."""
LATE_SECONDS = 2.0
"""How much later than the first a copy may come: after other calls that were made later."""
STORM = 500
DEAF, DEAF_SUBSCRIPTIONS = 3, 450
"""Sockets whose client takes nothing, and how often each asks for a long reply: more than the system holds for it."""


async def _cut(arena: Arena, rng: Random) -> None:
    """Sockets break without a goodbye, one here and one there; who comes back may reach another edge."""
    victims = await arena.ask_several(4)
    until = asyncio.get_running_loop().time() + SECONDS
    while asyncio.get_running_loop().time() < until:
        open_ = [socket for client in arena.clients for socket in client.sockets]
        for socket in rng.sample(open_, min(len(open_), rng.randrange(1, 4))):
            socket.transport.abort()
        await asyncio.sleep(rng.uniform(0, 0.4))
    await arena.until(lambda: all(each.over.is_set() for each in victims))


async def _double_calls(arena: Arena, rng: Random) -> None:
    """Every mutation arrives several times, at once and late: after what was asked for after it."""
    async with asyncio.TaskGroup() as copies:

        def echo(client: Client, what: str, call: Callable[[], Awaitable[Any]]) -> None:
            for _ in range(rng.randrange(1, 4)):
                copies.create_task(_late(arena, client, what, call, rng.uniform(0, LATE_SECONDS)))

        for client in arena.clients:
            client.echo = partial(echo, client)
        await arena.ask_several(4)
        await asyncio.sleep(SECONDS)
        for client in arena.clients:
            client.echo = None


async def _late(arena: Arena, client: Client, what: str, call: Callable[[], Awaitable[Any]], seconds: float) -> None:
    await asyncio.sleep(seconds)
    try:
        await call()
    except RefusedError as refused:
        if refused.code not in TEMPORARY:
            arena.history.failures.append(f"{client.account}: a second {what} was refused: {refused}")
    except BROKEN as broken:
        arena.history.refused(client.account, what, type(broken).__name__)


async def _double_turns(arena: Arena, rng: Random) -> None:
    """The queue delivers each turn again and again, in any order, also those that ended long ago."""
    asking = asyncio.create_task(arena.ask_several(4))
    until = asyncio.get_running_loop().time() + SECONDS
    seen: dict[str, dict[Any, Any]] = {}
    async with arena.journal() as redis:
        [queue] = [key async for key in redis.scan_iter("*:turns")]
        while asyncio.get_running_loop().time() < until:
            seen |= {entry: dict(fields) for entry, fields in cast("Any", await redis.xrange(queue))}
            for entry in rng.sample(sorted(seen), min(len(seen), 5)):
                await redis.xadd(queue, seen[entry])
            await asyncio.sleep(rng.uniform(0, 0.2))
    await asking


async def _read_slowly(arena: Arena, rng: Random) -> None:
    """Some take their time with every message: nobody else waits for them."""
    victims = await arena.ask_several(3)
    async with asyncio.TaskGroup() as watching:
        for victim in victims:
            [client] = [each for each in arena.clients if each.account == victim.asked.account]
            slow = client.watcher(victim.asked)
            slow.pause = rng.uniform(0.1, 0.4)
            watching.create_task(client.watch(slow))


async def _never_read(arena: Arena, rng: Random) -> None:
    """Some ask for a great deal and take nothing of it. They are cut off in the end, and nobody else waits for them."""
    client = rng.choice(arena.clients)
    long = await client.ask(
        await client.new_conversation(), Question("words=1000 at length", seed=rng.randrange(2**31))
    )
    await client.watch(long)
    async with AsyncExitStack() as opened:
        for _ in range(DEAF):
            socket = await opened.enter_async_context(client.person.socket())
            socket.transport.pause_reading()
            opened.callback(socket.transport.abort)
            for number in range(DEAF_SUBSCRIPTIONS):
                await _watch(socket, str(number), long.asked)
        await arena.until(lambda: _is_cut_off(arena))
    await arena.ask_several(2)


async def _is_cut_off(arena: Arena) -> bool:
    """Whether the edges have no more sockets than the people of the workload use."""
    open_ = 0
    async with httpx.AsyncClient() as http:
        for edge in arena.processes("edge"):
            page = (await http.get(f"http://{edge.endpoint.address}/metrics")).text
            open_ += sum(
                int(float(count)) for count in re.findall(r"^parley_edge_sockets{.*} (.+)$", page, re.MULTILINE)
            )
    return open_ <= sum(len(each.sockets) for each in arena.clients)


async def _come_all_at_once(arena: Arena, rng: Random) -> None:
    """Everybody comes back in the same moment, as after a network was away, and goes, and comes back."""
    victims = await arena.ask_several(3)
    for _ in range(3):
        await asyncio.gather(*(_come(arena, rng) for _ in range(STORM)))
    await arena.until(lambda: all(each.over.is_set() for each in victims))


async def _come(arena: Arena, rng: Random) -> None:
    client = rng.choice(arena.clients)
    mine = [asked for asked in arena.history.asked if asked.account == client.account]
    try:
        async with client.person.socket() as socket:
            await _watch(socket, "1", mine[-1])
            await socket.recv()
            socket.transport.abort()
    except BROKEN as broken:  # an edge has a bound, too
        arena.history.refused(client.account, "come", type(broken).__name__)


async def _watch(socket: ClientConnection, operation_id: str, asked: Asked) -> None:
    variables = {"conversationId": asked.conversation_id, "messageId": asked.reply_id}
    payload = {"query": REPLY, "variables": variables}
    await socket.send(json.dumps({"id": operation_id, "type": "subscribe", "payload": payload}))


def _fault(name: str, threatens: str, strike: Strike, environment: Mapping[str, str] | None = None) -> Fault:
    return Fault(f"clients-{name}", threatens, strike, environment=environment or {})


FAULTS = (
    _fault("cut", "whoever comes back with a cursor misses nothing and reads nothing twice", _cut),
    _fault("doubled", "a retry never doubles a message or a charge", _double_calls),
    _fault("queue-doubled", "a turn that is delivered again is told once", _double_turns),
    _fault("slow", "a slow reader gets larger deltas, and nobody waits for him", _read_slowly),
    _fault(
        "deaf",
        "a reader who takes nothing is cut off, and nobody waits for him",
        _never_read,
        {"PARLEY_SEND_SECONDS": "3", "PARLEY_FAKE_TOKENS_PER_SECOND": "400"},
    ),
    _fault("all-at-once", "hundreds who come back at once lose nothing", _come_all_at_once),
)
