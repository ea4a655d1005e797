# ruff: noqa: S608 - names have no placeholders; the keyspace's was checked when the URL was read
"""Every statement on messages. Each names its partition; what is written has no nulls, so it leaves no tombstones."""

from collections.abc import Callable
from typing import Any

_ROW = "conversation_id = ? AND segment = ? AND message_id = ?"
_PARTITION = "conversation_id = ? AND segment = ?"
_RANGE = f"{_PARTITION} AND message_id >= ? AND message_id <= ?"


class Statements:
    """Prepared for a keyspace."""

    def __init__(self, prepare: Callable[[str], Any], keyspace: str) -> None:
        messages, children, segments = (f"{keyspace}.{table}" for table in ("messages", "children", "segments"))

        self.put = prepare(
            f"INSERT INTO {messages} (conversation_id, segment, message_id, size, body) VALUES (?, ?, ?, ?, ?)"
        )
        self.put_child = prepare(
            f"INSERT INTO {children} (conversation_id, segment, parent_id, message_id) VALUES (?, ?, ?, ?)"
        )
        self.get = prepare(f"SELECT size, result_size, body, result FROM {messages} WHERE {_ROW}")
        self.children = prepare(f"SELECT parent_id, message_id FROM {children} WHERE {_PARTITION} AND parent_id IN ?")

        # The one condition on messages, once in a reply's life: no timestamp of racing writers says which came first.
        self.complete = prepare(
            f"UPDATE {messages} SET result = ?, result_size = ? WHERE {_ROW} IF size != null AND result_size = null"
        )
        self.sizes = prepare(f"SELECT size, result_size FROM {messages} WHERE {_ROW}")

        sizes = f"SELECT message_id, size, result_size FROM {messages} WHERE {_RANGE}"
        self.sizes_down = prepare(f"{sizes} ORDER BY message_id DESC LIMIT ?")
        self.sizes_up = prepare(f"{sizes} ORDER BY message_id ASC LIMIT ?")
        rows = f"SELECT message_id, size, result_size, body, result FROM {messages} WHERE {_RANGE}"
        self.rows_down = prepare(f"{rows} ORDER BY message_id DESC LIMIT ?")
        self.rows_up = prepare(f"{rows} ORDER BY message_id ASC LIMIT ?")

        self.segments = prepare(f"SELECT starts, large FROM {segments} WHERE conversation_id = ?")
        self.mark_large = prepare(f"UPDATE {segments} SET large = true WHERE conversation_id = ?")
        self.add_segment = prepare(f"UPDATE {segments} SET starts = ? WHERE conversation_id = ? IF starts = ?")
        self.forget_segments = prepare(f"DELETE FROM {segments} WHERE conversation_id = ? IF EXISTS")
        self.fill = prepare(f"SELECT count(size), sum(size), sum(result_size) FROM {messages} WHERE {_PARTITION}")
        self.greatest = prepare(f"SELECT message_id FROM {messages} WHERE {_PARTITION} LIMIT 1")

        self.written = prepare(
            f"SELECT message_id, size, writetime(size), writetime(result_size) FROM {messages} WHERE {_PARTITION}"
        )
        self.delete = prepare(f"DELETE FROM {messages} USING TIMESTAMP ? WHERE {_PARTITION}")
        self.delete_children = prepare(f"DELETE FROM {children} USING TIMESTAMP ? WHERE {_PARTITION}")

        token = "token(conversation_id, segment)"  # noqa: S105 - a place on the ring
        self.partitions = prepare(
            f"SELECT DISTINCT conversation_id, segment, {token} FROM {messages} WHERE {token} > ? LIMIT ?"
        )
