"""The order of the lists, as one string per conversation.

A list is one range of these strings, read backwards: no server has to sort, and none has to understand more than an
index whose first field is that string.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.metadata.store import Conversation, Filter, Owner, Position

_EPOCH = datetime.fromtimestamp(0, UTC)
_BEHIND_ALL = "~"
"""Follows whatever a place goes on with."""


def key_of(owner: Owner) -> str:
    """A string per owner, of which none begins with another's."""
    return json.dumps([owner.tenant_id, owner.account_id])


def place_of(conversation: Conversation) -> str:
    return _list_of(conversation.owner, archived=conversation.archived) + order_of(conversation)


def order_of(conversation: Conversation) -> str:
    """Its place among all of its owner's."""
    return _in_list(Position(conversation.pinned, conversation.update_time, conversation.conversation_id))


def to_filters(owner: Owner, narrow: Filter, after: Position | None) -> Sequence[dict[str, Any]]:
    """What to find for a list: one range of places, or two (to be merged) where both the archived ones and the others
    are wanted."""
    name = {"folded_name": {"$regex": re.escape(narrow.name_contains.casefold())}} if narrow.name_contains else {}
    wanted = (False, True) if narrow.archived is None else (narrow.archived,)
    lows = (_list_of(owner, archived=archived) for archived in wanted)
    return [{"place": {"$gte": low, "$lt": low + (_in_list(after) if after else _BEHIND_ALL)}, **name} for low in lows]


def _list_of(owner: Owner, *, archived: bool) -> str:
    return f"{key_of(owner)}{archived:d}"


def _in_list(position: Position) -> str:
    """Fifteen digits hold the milliseconds until the year 9999; a time before 1970 is none of ours and comes last."""
    milliseconds = max(0, (position.update_time - _EPOCH) // timedelta(milliseconds=1))
    return f"{position.pinned:d}{milliseconds:015}{position.conversation_id}"
