"""Messages in a SQLite file."""

import json
import sqlite3
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime

from services.chassis.sqlite import Database
from services.history.store import FinishReason, Message, Request, Result, Role, Status

MIGRATIONS = (
    """
    CREATE TABLE messages (
        conversation_id TEXT NOT NULL, message_id TEXT NOT NULL, parent_id TEXT NOT NULL,
        tenant_id TEXT NOT NULL, account_id TEXT NOT NULL, role TEXT NOT NULL, text TEXT NOT NULL,
        model TEXT, temperature REAL, top_p REAL, max_output_tokens INTEGER, stop TEXT, seed INTEGER,
        system_prompt TEXT, context_start_id TEXT,
        status TEXT, reply_text TEXT, finish_reason TEXT, prompt_tokens INTEGER, completion_tokens INTEGER,
        failure_reason TEXT, complete_time REAL,
        PRIMARY KEY (conversation_id, message_id)
    ) WITHOUT ROWID;
    CREATE INDEX children ON messages (conversation_id, parent_id, message_id)
    """,
)

DUMP_ROWS = 8
"""Rows read at once; each may have two megabytes."""

_ROOT = ""
"""The parent of roots, so that they can be looked up as every other."""
_BEHIND_ALL = "~"
"""Follows every id."""


class SqliteStore:
    """A `Store`. Several processes may use one file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, message: Message) -> None:
        row = {
            "conversation_id": message.conversation_id,
            "message_id": message.message_id,
            "parent_id": message.parent_id or _ROOT,
            "tenant_id": message.tenant_id,
            "account_id": message.account_id,
            "role": message.role,
            "text": message.text,
            **(_request_columns(message.request) if message.request else {}),
        }
        columns, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        await self._database.write(f"INSERT OR IGNORE INTO messages ({columns}) VALUES ({places})", row)  # noqa: S608

    async def complete(self, conversation_id: str, message_id: str, result: Result) -> None:
        await self._database.write(
            """
            UPDATE messages SET status = ?, reply_text = ?, finish_reason = ?, prompt_tokens = ?, completion_tokens = ?,
                failure_reason = ?, complete_time = ?
            WHERE conversation_id = ? AND message_id = ? AND status IS NULL
            """,
            (
                result.status,
                result.text,
                result.finish_reason,
                result.prompt_tokens,
                result.completion_tokens,
                result.failure_reason,
                result.complete_time.timestamp(),
                conversation_id,
                message_id,
            ),
        )

    async def get(self, conversation_id: str, message_id: str) -> Message | None:
        rows = await self._database.read(
            "SELECT * FROM messages WHERE conversation_id = ? AND message_id = ?", (conversation_id, message_id)
        )
        return _message(rows[0]) if rows else None

    async def scan(self, conversation_id: str, *, upto: str | None, limit: int) -> Sequence[Message]:
        rows = await self._database.read(
            """
            SELECT * FROM messages WHERE conversation_id = ? AND message_id <= ? ORDER BY message_id DESC LIMIT ?
            """,
            (conversation_id, upto or _BEHIND_ALL, limit),
        )
        return [_message(row) for row in rows]

    async def children(
        self, conversation_id: str, parent_ids: Collection[str | None]
    ) -> Mapping[str | None, Sequence[str]]:
        found: dict[str | None, list[str]] = {}
        rows = await self._database.read(
            """
            SELECT parent_id, message_id FROM messages
            WHERE conversation_id = ? AND parent_id IN (SELECT value FROM json_each(?)) ORDER BY message_id
            """,
            (conversation_id, json.dumps([parent or _ROOT for parent in parent_ids])),
        )
        for row in rows:
            found.setdefault(row["parent_id"] or None, []).append(row["message_id"])
        return found

    async def delete(self, conversation_id: str) -> int:
        return await self._database.write("DELETE FROM messages WHERE conversation_id = ?", (conversation_id,))

    async def dump(self) -> AsyncIterator[Message]:
        last = ("", "")
        while rows := await self._database.read(
            """
            SELECT * FROM messages WHERE (conversation_id, message_id) > (?, ?)
            ORDER BY conversation_id, message_id LIMIT ?
            """,
            (*last, DUMP_ROWS),
        ):
            for row in rows:
                yield _message(row)
            last = (rows[-1]["conversation_id"], rows[-1]["message_id"])

    async def check(self) -> None:
        await self._database.check()


def _request_columns(request: Request) -> dict[str, object]:
    return {
        "model": request.model,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_output_tokens": request.max_output_tokens,
        "stop": json.dumps(request.stop),
        "seed": request.seed,
        "system_prompt": request.system_prompt,
        "context_start_id": request.context_start_id,
    }


def _message(row: sqlite3.Row) -> Message:
    return Message(
        tenant_id=row["tenant_id"],
        account_id=row["account_id"],
        conversation_id=row["conversation_id"],
        message_id=row["message_id"],
        parent_id=row["parent_id"] or None,
        role=Role(row["role"]),
        text=row["text"],
        request=_request(row) if row["model"] is not None else None,
        result=_result(row) if row["status"] is not None else None,
    )


def _request(row: sqlite3.Row) -> Request:
    return Request(
        model=row["model"],
        temperature=row["temperature"],
        top_p=row["top_p"],
        max_output_tokens=row["max_output_tokens"],
        stop=tuple(json.loads(row["stop"])),
        seed=row["seed"],
        system_prompt=row["system_prompt"],
        context_start_id=row["context_start_id"],
    )


def _result(row: sqlite3.Row) -> Result:
    return Result(
        status=Status(row["status"]),
        text=row["reply_text"],
        finish_reason=FinishReason(row["finish_reason"]),
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        failure_reason=row["failure_reason"],
        complete_time=datetime.fromtimestamp(row["complete_time"], UTC),
    )
