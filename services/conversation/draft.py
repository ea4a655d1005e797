"""A reply while it is written: as its runner has it, and as the journal tells of it."""

import asyncio
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from parley.history.v1.history_service_pb2 import ReplyResult
from services.chassis.identity import Caller, ReservationSubject
from services.conversation.feed import Change

TOKEN_BYTES = 4


class Outcome(StrEnum):
    """What became of a write."""

    OK = "ok"
    CANCEL = "cancel"
    """Written, and somebody asks for the reply to stop."""
    STALE = "stale"
    """Not written: another runner has the turn."""
    MISSING = "missing"
    """Not written: the journal lost the reply."""
    GAP = "gap"
    """Not written: the journal lost a part of the reply."""


@lru_cache(maxsize=8192)
def _name(conversation_id: str, reply_id: str) -> str:
    """Kept for the turns that run: each is asked for it several times a tick."""
    mixed = hashlib.blake2b(f"{conversation_id}/{reply_id}".encode(), digest_size=10).hexdigest()
    return f"{reply_id[:13]}-7{mixed[:3]}-{'89ab'[int(mixed[3], 16) % 4]}{mixed[4:7]}-{mixed[7:19]}"


@dataclass(frozen=True, slots=True)
class Turn:
    """A reply to be written, and whose it is."""

    reply_id: str
    conversation_id: str
    tenant_id: str
    account_id: str
    entry_id: str = field(default="", compare=False)
    """Its place in the queue."""

    @property
    def turn_id(self) -> str:
        """Names the turn everywhere: clients choose reply ids, and may choose the same one in two conversations.

        A UUIDv7 with the time of the reply's id, so that it is a function of the two ids."""
        return _name(self.conversation_id, self.reply_id)

    def change(self, *message_ids: str, itself: bool = False) -> Change:
        """A change of its conversation itself, or of these messages of it."""
        return Change(self.tenant_id, self.account_id, self.conversation_id, itself, message_ids)

    @property
    def owner(self) -> Caller:
        """The account that the reply is for, as this service acts for it while nobody waits for an answer."""
        return Caller("conversation", self.tenant_id, self.account_id, subject=ReservationSubject(self.turn_id))


@dataclass(slots=True, eq=False)
class Draft:
    """A reply as its runner has it: what is not in the journal yet follows after the two `written` offsets."""

    turn: Turn
    epoch: int
    tokens: bytearray
    text: bytearray
    written_tokens: int
    written_text: int
    queue_position: int | None = None
    written_queue_position: int | None = None
    confirmed: bool = True
    result: ReplyResult | None = None
    """How the reply ended, while it is not stored yet."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody asked for the reply to stop."""
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """Another runner has the turn."""

    @property
    def token_ids(self) -> list[int]:
        return [int.from_bytes(self.tokens[n : n + TOKEN_BYTES]) for n in range(0, len(self.tokens), TOKEN_BYTES)]

    @property
    def is_written(self) -> bool:
        """Whether the journal has all there is, and was asked since `confirmed` was taken back."""
        lengths = (self.written_tokens, self.written_text) == (len(self.tokens), len(self.text))
        return self.confirmed and lengths and self.written_queue_position == self.queue_position

    @property
    def token_count(self) -> int:
        return len(self.tokens) // TOKEN_BYTES

    def add(self, token_ids: Sequence[int], text: str) -> None:
        self.tokens += struct.pack(f">{len(token_ids)}I", *token_ids)
        self.text += text.encode()


@dataclass(frozen=True, slots=True)
class Claim:
    draft: Draft
    claims: int
    """How often the turn was claimed since its last new token, this time included."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the journal knows of a reply from some offset on."""

    known: bool
    ended: bool
    queue_position: int | None
    text: bytes


@dataclass(frozen=True, slots=True)
class News:
    """Turns that something happened to, by their ids; `cancelled` are those that somebody wants to stop."""

    changed: frozenset[str] = frozenset()
    cancelled: frozenset[str] = frozenset()
    told: tuple[Change, ...] = ()
    """Of the conversations of accounts."""
