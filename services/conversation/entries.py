"""A turn as the queue has it: an entry of a Redis Stream."""

from collections.abc import Mapping, Sequence

from services.conversation.draft import Turn

Entry = tuple[bytes, Mapping[bytes, bytes] | None]
"""Its id, and its fields; None: deleted meanwhile."""


def to_entry(turn: Turn) -> tuple[str, str, str, str]:
    """A turn as the queue's scripts take it."""
    return turn.reply_id, turn.conversation_id, turn.tenant_id, turn.account_id


def from_entries(entries: Sequence[Entry]) -> list[Turn]:
    """The turns, each with its place in the queue."""
    found = []
    for entry_id, fields in entries:
        if fields:
            values = {name.decode(): value.decode() for name, value in fields.items()}
            turn = Turn(values["reply"], values["conversation"], values["tenant"], values["account"], entry_id.decode())
            found.append(turn)
    return found
