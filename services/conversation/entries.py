"""A turn as the queue has it: an entry of a Redis Stream."""

from collections.abc import Sequence
from typing import Any

from services.conversation.draft import Turn


def flat(stream: Any) -> list[Any]:
    """The entries of one stream, however the protocol version nests them."""
    return [entry for part in stream for entry in (part if isinstance(part, list) else [part])]


def to_entry(turn: Turn) -> tuple[str, str, str, str]:
    """A turn as the queue's scripts take it."""
    return turn.reply_id, turn.conversation_id, turn.tenant_id, turn.account_id


def from_entries(entries: Sequence[Any]) -> list[Turn]:
    """The turns, each with its place in the queue."""
    found = []
    for entry_id, fields in entries:
        if fields:  # None: deleted meanwhile
            values = {name.decode(): value.decode() for name, value in fields.items()}
            turn = Turn(values["reply"], values["conversation"], values["tenant"], values["account"], entry_id.decode())
            found.append(turn)
    return found
