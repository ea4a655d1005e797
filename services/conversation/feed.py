"""What changes in the conversations of accounts, told to whoever watches an account on this process.

It names what changed, and whoever wants to know more reads that: so a change may be told twice, or with others as one,
and where some were lost it is enough to say so.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

MAX_CHANGES = 256
"""Messages and conversations that wait for one reader; after more he is told to read everything again."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a conversation of an account, or in it."""

    tenant_id: str
    account_id: str
    conversation_id: str
    itself: bool = False
    """It was created or changed, or is gone."""
    message_ids: tuple[str, ...] = ()
    """Those that were stored, and replies that ended."""

    def with_later(self, later: "Change") -> "Change":
        message_ids = tuple(dict.fromkeys(self.message_ids + later.message_ids))
        return replace(self, itself=self.itself or later.itself, message_ids=message_ids)


class Feed:
    """One reader of one account's changes. In the beginning he has missed all that there was."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._missed = True
        self._changes: dict[str, Change] = {}
        """By conversation."""

    def tell(self, change: Change) -> None:
        earlier = self._changes.get(change.conversation_id)
        self._changes[change.conversation_id] = earlier.with_later(change) if earlier else change
        if sum(1 + len(each.message_ids) for each in self._changes.values()) > MAX_CHANGES:
            self.miss()
        self._wake()

    def miss(self) -> None:
        """Changes may have been lost; those that wait are among what he reads again."""
        self._missed, self._changes = True, {}
        self._wake()

    def take(self) -> tuple[bool, list[Change]]:
        """Whether something was missed, and then what changed, since the last call."""
        missed, changes = self._missed, list(self._changes.values())
        self._missed, self._changes = False, {}
        return missed, changes


class Feeds:
    """The feeds of one process."""

    def __init__(self) -> None:
        self._feeds: dict[tuple[str, str], dict[Feed, None]] = {}
        """By tenant and account."""

    @contextmanager
    def follow(self, tenant_id: str, account_id: str, wake: Callable[[], None]) -> Iterator[Feed]:
        """Has `wake` called whenever the feed has something."""
        account, feed = (tenant_id, account_id), Feed(wake)
        self._feeds.setdefault(account, {})[feed] = None
        try:
            yield feed
        finally:
            del self._feeds[account][feed]
            if not self._feeds[account]:
                del self._feeds[account]

    def tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            for feed in self._feeds.get((change.tenant_id, change.account_id), ()):
                feed.tell(change)

    def miss(self) -> None:
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.miss()
