"""What the mesh says of itself once nothing is under way any more."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc

from tests.chaos.arena import Arena
from tests.chaos.client import Client
from tests.chaos.record import Asked, History, Standing
from tests.mesh.person import MESSAGE, RefusedError

QUIET_SECONDS = 30.0
"""For turns that ended to be settled and taken out of the queue; what is left then stays."""
AT_ONCE = 8
"""Messages that are read at the same time."""
_ROW = f"{MESSAGE} usage {{ promptTokens completionTokens }}"
BRANCH = f"""query ($id: ID!, $leaf: ID) {{
  conversation(id: $id) {{ messages(leafId: $leaf, last: 100) {{ nodes {{ {_ROW} }} }} }} }}"""
ROW = f"query ($id: ID!, $conversationId: ID!) {{ message(id: $id, conversationId: $conversationId) {{ {_ROW} }} }}"
USAGE = "{ viewer { usage { usedTokens reservedTokens } } }"


async def standing(arena: Arena, clients: Sequence[Client], history: History) -> Standing:
    with suppress(TimeoutError):
        await arena.until(lambda: _is_quiet(arena, clients), QUIET_SECONDS)
    rows = await _rows(clients, history)
    usage = {client.account: await _usage(client) for client in clients}
    return Standing(
        rows,
        {account: used for account, (used, _) in usage.items()},
        {account: reserved for account, (_, reserved) in usage.items()},
        await arena.queued(),
        await arena.busy(),
        tuple(_errors(arena.running.folder / "logs")),
    )


async def _is_quiet(arena: Arena, clients: Sequence[Client]) -> bool:
    try:
        if await arena.queued() or await arena.busy():
            return False
    except (OSError, grpc.aio.AioRpcError):
        return False
    return not any([(await _usage(client))[1] for client in clients])


async def _usage(client: Client) -> tuple[int, int]:
    """Tokens that were used and that are set aside."""
    usage = (await client.insist("usage", lambda: client.person.query(USAGE)))["viewer"]["usage"]
    return int(usage["usedTokens"]), int(usage["reservedTokens"])


async def _rows(clients: Sequence[Client], history: History) -> dict[str, dict[str, Any]]:
    """All messages that were acknowledged, by id: the newest branches whole, what is on none of them one by one."""
    rows: dict[str, dict[str, Any]] = {}
    of, newest = {client.account: client for client in clients}, iter(reversed(history.asked))

    async def read() -> None:
        for asked in newest:
            if asked.reply_id not in rows:
                rows.update({row["id"]: row for row in await _branch(of[asked.account], asked)})
            for message_id in {asked.message_id, asked.reply_id} - rows.keys():
                if row := await _row(of[asked.account], asked, message_id):
                    rows[message_id] = row

    await asyncio.gather(*(read() for _ in range(AT_ONCE)))
    return rows


async def _branch(client: Client, asked: Asked) -> list[dict[str, Any]]:
    ids = {"id": asked.conversation_id, "leaf": asked.reply_id}
    try:
        answer = await client.insist("read", lambda: client.person.query(BRANCH, **ids))
    except RefusedError as refused:
        if refused.code != "NOT_FOUND":
            raise
        return []
    return list(answer["conversation"]["messages"]["nodes"]) if answer["conversation"] else []


async def _row(client: Client, asked: Asked, message_id: str) -> dict[str, Any] | None:
    ids = {"id": message_id, "conversationId": asked.conversation_id}
    try:
        answer = await client.insist("read", lambda: client.person.query(ROW, **ids))
    except RefusedError as refused:
        if refused.code != "NOT_FOUND":
            raise
        return None
    return dict(answer["message"]) if answer["message"] else None


def _errors(logs: Path) -> Iterator[str]:
    """Errors and tracebacks of all processes, dead ones included."""
    for file in sorted(logs.glob("*.log*")):
        for line in file.read_text(errors="replace").splitlines():
            if "Traceback" in line or _level(line) in ("ERROR", "CRITICAL"):
                yield f"{file.name}: {line[:2000]}"


def _level(line: str) -> str:
    try:
        return str(json.loads(line)["level"])
    except (ValueError, TypeError, KeyError):
        return ""
