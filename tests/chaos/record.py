"""What the people of a run saw of the mesh, in the order in which they saw it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and all that decides its reply."""

    text: str
    seed: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A reply whose asking was acknowledged: to a message that was sent with it, or once more to an earlier one."""

    account: str
    conversation_id: str
    message_id: str
    reply_id: str
    parent_id: str | None
    """Of the message."""
    question: Question
    began: float
    acknowledged: float


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one watcher of a reply: a delta (text), the end (the message), or a heartbeat (neither)."""

    watcher: int
    reply_id: str
    cursor: str
    time: float
    text: str = ""
    ended: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    account: str
    what: str
    code: str
    """A reason of the mesh, or the name of the error with which a connection broke."""
    time: float


@dataclass(slots=True)
class History:
    """Only ever added to."""

    canaries: Mapping[str, str]
    """By account: a word that only this account uses."""
    unbroken: dict[tuple[str, Question], str] = field(default_factory=dict)
    """By account and question: the reply while nothing was amiss."""
    asked: list[Asked] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    """Replies that somebody asked to stop."""
    events: list[Event] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    received: list[tuple[str, str]] = field(default_factory=list)
    """By account: every answer and every message of a socket, as it came."""
    failures: list[str] = field(default_factory=list)
    """What no client should see: given up, refused for good, ended without an end."""

    def refused(self, account: str, what: str, code: str) -> None:
        self.refusals.append(Refusal(account, what, code, time.monotonic()))


@dataclass(frozen=True, slots=True)
class Standing:
    """What the mesh says of itself once it is quiet again."""

    rows: Mapping[str, Mapping[str, Any]]
    """Messages by id, as GraphQL has them, with `usage`; without those that cannot be read."""
    charged: Mapping[str, int]
    """By account: the tokens by which its usage grew."""
    reserved: Mapping[str, int]
    """By account: tokens that are set aside."""
    queued: int
    """Turns in the queue."""
    busy: int
    """Generations on the engines."""
    errors: tuple[str, ...]
    """Lines of the logs that nobody should have to read."""
