"""What changes in an account's conversations, as one subscriber sees it: all that gathered since he last took some."""

import asyncio
from dataclasses import dataclass, field

from parley.conversation.v1 import conversation_service_pb2 as pb
from services.chassis.errors import DomainError, from_status

MAX_CHANGES = 256
"""Messages and conversations that wait for a subscriber; after more he is told to read everything again."""


@dataclass(slots=True)
class Changes:
    missed: bool = False
    """What happened before these may not have been told."""
    conversations: dict[str, bool] = field(default_factory=dict)
    """Those in which something happened, and whether it happened to the conversation itself."""
    messages: dict[str, dict[str, None]] = field(default_factory=dict)
    """The messages that were stored, and the replies that ended, by conversation."""

    @property
    def size(self) -> int:
        return len(self.conversations) + sum(len(each) for each in self.messages.values())

    def add(self, later: pb.ConversationChanges) -> None:
        if later.missed:
            self._miss()
        for change in later.changes:
            here = change.conversation_id
            self.conversations[here] = self.conversations.get(here, False) or change.conversation_changed
            self.messages.setdefault(here, {}).update(dict.fromkeys(change.message_ids))
        if self.size > MAX_CHANGES:
            self._miss()

    def _miss(self) -> None:
        """What waits is among what he reads again."""
        self.missed, self.conversations, self.messages = True, {}, {}


class Feed:
    """Beside `Watch`, the other thing that a stream of watches carries."""

    def __init__(self, start: pb.StartAccountWatch) -> None:
        self._start = start
        self._changes = Changes()
        self._failure: DomainError | None = None
        self._news = asyncio.Event()
        self.over = asyncio.Event()
        """Set once the watch failed: nothing more will arrive."""

    @property
    def id(self) -> str:
        return self._start.watch_id

    def start(self) -> pb.WatchRepliesRequest:
        """The command that starts the watch, on whatever stream; each begins with what was missed before it."""
        return pb.WatchRepliesRequest(start_account=self._start)

    def receive(self, event: pb.WatchEvent) -> None:
        if event.HasField("failure"):
            self._failure = from_status(event.failure)
            self.over.set()
        else:
            self._changes.add(event.changes)
        self._news.set()

    async def next(self, heartbeat_seconds: float) -> Changes | None:
        """What gathered; None after so long without anything. Raises DomainError if the watch failed."""
        try:
            async with asyncio.timeout(heartbeat_seconds):
                while True:
                    # Cleared before looking: what arrives after the look sets it again.
                    self._news.clear()
                    if self._failure:
                        raise self._failure
                    if self._changes.missed or self._changes.conversations:
                        taken, self._changes = self._changes, Changes()
                        return taken
                    await self._news.wait()
        except TimeoutError:
            return None
