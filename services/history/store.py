"""What history remembers, and what every store promises.

The promises are written from the point of view of a partitioned, replicated store: a conversation is one ordered
partition, a write is an upsert, nothing is read in order to be written, and no transaction spans two rows.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import AwareDatetime


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Status(StrEnum):
    """How a reply ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Request:
    """All that decides a reply, besides the messages it answers."""

    model: str
    temperature: float
    top_p: float
    max_output_tokens: int
    stop: tuple[str, ...]
    seed: int
    system_prompt: str
    context_start_id: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """How a reply ended."""

    status: Status
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    failure_reason: str
    complete_time: AwareDatetime


@dataclass(frozen=True, slots=True)
class Message:
    """A row. A reply has a `request`, and a `result` once it ended; another message has neither, but its `text`."""

    tenant_id: str
    account_id: str
    conversation_id: str
    message_id: str
    parent_id: str | None
    role: Role
    text: str
    request: Request | None = None
    result: Result | None = None


class Store(Protocol):
    """Remembers messages. Every method may raise DomainError UNAVAILABLE, and then may or may not have written."""

    async def put(self, message: Message) -> None:
        """Writes a row without its result. When it returns, the row survives any crash.

        Putting the same row again changes nothing. Of two different rows put under one id at the same time one stays,
        whole; which one is not promised.
        """

    async def complete(self, conversation_id: str, message_id: str, result: Result) -> None:
        """Writes a row's result. When it returns, the first result written survives any crash; a later one is dropped.

        A result without a row stays unseen.
        """

    async def get(self, conversation_id: str, message_id: str) -> Message | None:
        """Reads a row as of every write that was acknowledged before."""

    async def scan(self, conversation_id: str, *, upto: str | None, limit: int) -> Sequence[Message]:
        """Reads up to `limit` rows by descending id, from `upto` (itself included) or from the newest.

        Where texts are long they may be fewer than there are, but two at least.
        """

    async def children(
        self, conversation_id: str, parent_ids: Collection[str | None]
    ) -> Mapping[str | None, Sequence[str]]:
        """The ids under each parent, ascending; None is the parent of roots. A parent without children is left out."""

    async def delete(self, conversation_id: str) -> int:
        """Deletes a conversation's rows and returns how many there were. Deleting nothing succeeds."""

    def dump(self) -> AsyncIterator[Message]:
        """Every row once, a conversation's together and by ascending id, however many there are.

        What is written or deleted meanwhile may or may not be among them.
        """

    async def check(self) -> None:
        """Raises DomainError UNAVAILABLE while the store cannot be read, and RefusedError if it never can."""
