"""What metadata remembers, and what every store promises.

The promises are written from the point of view of a document database: a conversation is one document, a write touches
one document, an update is a compare-and-set on the etag, every sort lies on an index, times are whole milliseconds, and
no transaction spans two documents. Every method names the owner, and another owner's document does not exist for it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import AwareDatetime


@dataclass(frozen=True, slots=True)
class Owner:
    tenant_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class Conversation:
    owner: Owner
    conversation_id: str
    display_name: str
    model: str
    system_prompt: str
    current_leaf_id: str | None
    pinned: bool
    archived: bool
    labels: Mapping[str, str]
    etag: str
    created_as: str
    """A digest of the content that it was created with, by which a repeated creation is known."""
    create_time: AwareDatetime
    update_time: AwareDatetime


@dataclass(frozen=True, slots=True)
class Filter:
    """Which conversations to list; None and "" do not narrow."""

    archived: bool | None = None
    name_contains: str = ""
    """A part of the display name, whatever the case of its letters."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of the list: pinned ones first, then the latest updated, then the highest id."""

    pinned: bool
    update_time: datetime
    conversation_id: str


class Theme(StrEnum):
    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Settings:
    owner: Owner
    default_model: str
    custom_instructions: str
    locale: str
    theme: Theme
    etag: str
    update_time: AwareDatetime


class Store(Protocol):
    """Remembers conversations and settings. Every method may raise DomainError UNAVAILABLE; a writing one then may or
    may not have written.

    A store repeats a write whose answer was lost only where it can tell its own from another's, so that each answer is
    that of the first attempt.
    """

    async def create(self, conversation: Conversation) -> bool:
        """Writes a conversation; False, and nothing is written, if anybody's has that id.

        When it returns, the conversation survives any crash.
        """

    async def get(self, owner: Owner, conversation_id: str) -> Conversation | None:
        """Reads a conversation as of every write that was acknowledged before."""

    async def list(self, owner: Owner, narrow: Filter, *, after: Position | None, limit: int) -> Sequence[Conversation]:
        """Reads up to `limit` conversations that follow `after` (None: from the first) in the order of `Position`.

        `after` need not exist any more.
        """

    async def replace(self, conversation: Conversation, etag: str) -> bool:
        """Writes a conversation over the one with its owner, its id and this etag; False if there is none.

        Of several replacements of one etag exactly one returns True. When it returns, it survives any crash. `owner`,
        `created_as` and `create_time` stay as they were created.
        """

    async def delete(self, owner: Owner, conversation_id: str) -> bool:
        """Deletes a conversation; False if there is none (any more)."""

    async def settings(self, owner: Owner) -> Settings | None:
        """Reads the owner's settings; None before they were first written."""

    async def put_settings(self, settings: Settings, etag: str | None) -> bool:
        """Writes settings over those with this etag, or (None) where there are none; False if it is otherwise.

        Of several writes over one state exactly one returns True. When it returns, it survives any crash.
        """

    async def delete_settings(self, owner: Owner) -> bool:
        """Deletes the owner's settings; False if there are none (any more)."""

    def dump(self) -> AsyncIterator[Conversation | Settings]:
        """Reads everybody's conversations, then everybody's settings, in bounded memory.

        What is there all the while comes exactly once, as of some moment since the dump began.
        """

    async def check(self) -> None:
        """Raises DomainError UNAVAILABLE while the store cannot be used, and RefusedError if it never can be.

        A store that is a server may answer nothing before this has passed once.
        """
