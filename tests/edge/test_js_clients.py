"""The clients that people really use, each a process of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.edge.reply import TEXT, WORDS, Reply
from tests.edge.running import Edge
from tests.edge.state import Person

CLIENTS = Path(__file__).parent / "clients"


class Script:
    """A running script that prints a line of JSON for all that happens to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, await self.errors()
        found: dict[str, Any] = json.loads(line)
        return found

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def rest(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        while lines[-1:] != [{"complete": True}]:
            lines.append(await self.line())
        return lines


@asynccontextmanager
async def script(name: str, edge: Edge, ada: Person, reply: Reply) -> AsyncIterator[Script]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(CLIENTS / name),
        edge.url,
        ada.api_key,
        reply.conversation_id,
        reply.message_id,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Script(process)
    try:
        yield running
        assert (await process.wait(), await running.errors()) == (0, "")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_graphql_ws_goes_on_after_a_cut(edge: Edge, ada: Person, reply: Reply) -> None:
    reply.journal.append(WORDS[0])
    async with script("socket.mjs", edge, ada, reply) as client:
        assert await client.line() == {"delta": WORDS[0]}
        for word in WORDS[1:20]:
            reply.journal.append(word)
        await client.line()
        edge.cut()
        for word in WORDS[20:]:
            reply.journal.append(word)
        reply.journal.end()
        lines = await client.rest()
        assert lines[-2] == {"same": True, "text": TEXT}


async def test_graphql_sse(edge: Edge, ada: Person, reply: Reply) -> None:
    reply.journal.append(WORDS[0])
    async with script("events.mjs", edge, ada, reply) as client:
        assert await client.line() == {"viewer": {"displayName": "Ada"}}
        assert await client.line() == {"delta": WORDS[0]}
        for word in WORDS[1:]:
            reply.journal.append(word)
        reply.journal.end()
        lines = await client.rest()
        assert lines[-2] == {"same": True, "text": TEXT}
