"""What changes in an account's conversations, as one subscriber sees it: all that gathered since he last took some."""

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
        self.over = False
        """The watch failed: nothing more will arrive."""

    @property
    def id(self) -> str:
        return self._start.watch_id

    def start(self) -> pb.WatchRepliesRequest:
        """The command that starts the watch, on whatever stream; each begins with what was missed before it."""
        return pb.WatchRepliesRequest(start_account=self._start)

    def receive(self, event: pb.WatchEvent) -> None:
        if event.HasField("failure"):
            self._failure = from_status(event.failure)
            self.over = True
        else:
            self._changes.add(event.changes)

    def take(self) -> Changes | None:
        """What gathered; None if nothing did. Raises DomainError if the watch failed."""
        if self._failure:
            raise self._failure
        if not self._changes.missed and not self._changes.conversations:
            return None
        taken, self._changes = self._changes, Changes()
        return taken
