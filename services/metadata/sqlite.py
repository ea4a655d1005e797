"""Conversations and settings in a SQLite file."""

import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from services.chassis.sqlite import Database
from services.metadata.store import Conversation, Filter, Owner, Position, Settings, Theme

MIGRATIONS = (
    """
    CREATE TABLE conversations (
        conversation_id TEXT NOT NULL PRIMARY KEY, tenant_id TEXT NOT NULL, account_id TEXT NOT NULL,
        display_name TEXT NOT NULL, folded_name TEXT NOT NULL, model TEXT NOT NULL, system_prompt TEXT NOT NULL,
        current_leaf_id TEXT, pinned INTEGER NOT NULL, archived INTEGER NOT NULL, labels TEXT NOT NULL,
        etag TEXT NOT NULL, created_as TEXT NOT NULL, create_time INTEGER NOT NULL, update_time INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX listed ON conversations (tenant_id, account_id, pinned, update_time, conversation_id);
    CREATE TABLE settings (
        tenant_id TEXT NOT NULL, account_id TEXT NOT NULL, default_model TEXT NOT NULL,
        custom_instructions TEXT NOT NULL, locale TEXT NOT NULL, theme TEXT NOT NULL, etag TEXT NOT NULL,
        update_time INTEGER NOT NULL,
        PRIMARY KEY (tenant_id, account_id)
    ) WITHOUT ROWID
    """,
)

DUMPED_AT_ONCE = 100
"""Rows, of up to some 50 KiB each."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_CREATED_ONCE = ("conversation_id", "tenant_id", "account_id", "created_as", "create_time")


class SqliteStore:
    """A `Store`. Several processes may use one file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, conversation: Conversation) -> bool:
        row = _columns(conversation)
        columns, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        statement = f"INSERT INTO conversations ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608
        return await self._database.write(statement, row) == 1

    async def get(self, owner: Owner, conversation_id: str) -> Conversation | None:
        rows = await self._database.read(
            "SELECT * FROM conversations WHERE conversation_id = ? AND tenant_id = ? AND account_id = ?",
            (conversation_id, owner.tenant_id, owner.account_id),
        )
        return _conversation(rows[0]) if rows else None

    async def list(self, owner: Owner, narrow: Filter, *, after: Position | None, limit: int) -> Sequence[Conversation]:
        wanted = ["tenant_id = :tenant_id", "account_id = :account_id"]
        if narrow.archived is not None:
            wanted.append("archived = :archived")
        if narrow.name_contains:
            wanted.append("instr(folded_name, :name) > 0")
        if after:
            wanted.append("(pinned, update_time, conversation_id) < (:pinned, :update_time, :conversation_id)")
        rows = await self._database.read(
            f"""
            SELECT * FROM conversations WHERE {" AND ".join(wanted)}
            ORDER BY pinned DESC, update_time DESC, conversation_id DESC LIMIT :limit
            """,  # noqa: S608 - the parts above
            {
                "tenant_id": owner.tenant_id,
                "account_id": owner.account_id,
                "archived": narrow.archived,
                "name": narrow.name_contains.casefold(),
                "pinned": after and after.pinned,
                "update_time": after and _milliseconds(after.update_time),
                "conversation_id": after and after.conversation_id,
                "limit": limit,
            },
        )
        return [_conversation(row) for row in rows]

    async def replace(self, conversation: Conversation, etag: str) -> bool:
        row = _columns(conversation)
        changes = ", ".join(f"{name} = :{name}" for name in row if name not in _CREATED_ONCE)
        changed = await self._database.write(
            f"""
            UPDATE conversations SET {changes}
            WHERE conversation_id = :conversation_id AND tenant_id = :tenant_id AND account_id = :account_id
                AND etag = :old_etag
            """,  # noqa: S608 - our own columns
            {**row, "old_etag": etag},
        )
        return changed == 1

    async def delete(self, owner: Owner, conversation_id: str) -> bool:
        deleted = await self._database.write(
            "DELETE FROM conversations WHERE conversation_id = ? AND tenant_id = ? AND account_id = ?",
            (conversation_id, owner.tenant_id, owner.account_id),
        )
        return deleted == 1

    async def settings(self, owner: Owner) -> Settings | None:
        rows = await self._database.read(
            "SELECT * FROM settings WHERE tenant_id = ? AND account_id = ?", (owner.tenant_id, owner.account_id)
        )
        return _settings(rows[0]) if rows else None

    async def put_settings(self, settings: Settings, etag: str | None) -> bool:
        row = _settings_columns(settings)
        if etag is None:
            columns, places = ", ".join(row), ", ".join(f":{name}" for name in row)
            statement = f"INSERT INTO settings ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608
        else:
            changes = ", ".join(f"{name} = :{name}" for name in row if name not in _CREATED_ONCE)
            owned = "tenant_id = :tenant_id AND account_id = :account_id AND etag = :old_etag"
            statement = f"UPDATE settings SET {changes} WHERE {owned}"  # noqa: S608 - our own columns
        return await self._database.write(statement, {**row, "old_etag": etag}) == 1

    async def delete_settings(self, owner: Owner) -> bool:
        deleted = await self._database.write(
            "DELETE FROM settings WHERE tenant_id = ? AND account_id = ?", (owner.tenant_id, owner.account_id)
        )
        return deleted == 1

    async def dump(self) -> AsyncIterator[Conversation | Settings]:
        page = "SELECT * FROM conversations WHERE conversation_id > ? ORDER BY conversation_id LIMIT ?"
        last: tuple[str, ...] = ("",)
        while rows := await self._database.read(page, (*last, DUMPED_AT_ONCE)):
            for row in rows:
                yield _conversation(row)
            last = (rows[-1]["conversation_id"],)
        page = "SELECT * FROM settings WHERE (tenant_id, account_id) > (?, ?) ORDER BY tenant_id, account_id LIMIT ?"
        last = ("", "")
        while rows := await self._database.read(page, (*last, DUMPED_AT_ONCE)):
            for row in rows:
                yield _settings(row)
            last = (rows[-1]["tenant_id"], rows[-1]["account_id"])

    async def check(self) -> None:
        await self._database.check()


def _columns(conversation: Conversation) -> dict[str, object]:
    return {
        "conversation_id": conversation.conversation_id,
        "tenant_id": conversation.owner.tenant_id,
        "account_id": conversation.owner.account_id,
        "display_name": conversation.display_name,
        "folded_name": conversation.display_name.casefold(),
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "current_leaf_id": conversation.current_leaf_id,
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "labels": json.dumps(dict(conversation.labels)),
        "etag": conversation.etag,
        "created_as": conversation.created_as,
        "create_time": _milliseconds(conversation.create_time),
        "update_time": _milliseconds(conversation.update_time),
    }


def _conversation(row: sqlite3.Row) -> Conversation:
    return Conversation(
        owner=Owner(row["tenant_id"], row["account_id"]),
        conversation_id=row["conversation_id"],
        display_name=row["display_name"],
        model=row["model"],
        system_prompt=row["system_prompt"],
        current_leaf_id=row["current_leaf_id"],
        pinned=bool(row["pinned"]),
        archived=bool(row["archived"]),
        labels=json.loads(row["labels"]),
        etag=row["etag"],
        created_as=row["created_as"],
        create_time=_time(row["create_time"]),
        update_time=_time(row["update_time"]),
    )


def _settings_columns(settings: Settings) -> dict[str, object]:
    return {
        "tenant_id": settings.owner.tenant_id,
        "account_id": settings.owner.account_id,
        "default_model": settings.default_model,
        "custom_instructions": settings.custom_instructions,
        "locale": settings.locale,
        "theme": settings.theme,
        "etag": settings.etag,
        "update_time": _milliseconds(settings.update_time),
    }


def _settings(row: sqlite3.Row) -> Settings:
    return Settings(
        owner=Owner(row["tenant_id"], row["account_id"]),
        default_model=row["default_model"],
        custom_instructions=row["custom_instructions"],
        locale=row["locale"],
        theme=Theme(row["theme"]),
        etag=row["etag"],
        update_time=_time(row["update_time"]),
    )


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _time(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
