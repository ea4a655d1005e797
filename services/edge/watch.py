"""One reply as one subscriber sees it: how far he is, and the text that gathered since he last took some."""

from dataclasses import dataclass

from parley.conversation.v1 import conversation_service_pb2 as pb
from parley.history.v1 import history_service_pb2
from services.chassis.errors import DomainError, from_status


@dataclass(frozen=True, slots=True)
class Delta:
    cursor: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    cursor: str
    message: history_service_pb2.Message


@dataclass(frozen=True, slots=True)
class Heartbeat:
    cursor: str
    queue_position: int | None


Event = Delta | Ended | Heartbeat


class Watch:
    """Merges what arrives between two looks of its subscriber: a slow one gets larger deltas, not a longer queue."""

    def __init__(self, start: pb.StartWatch) -> None:
        self._start = start
        self._received = self._taken = start.reply.start_cursor
        self._text: list[str] = []
        self._queue_position: int | None = None
        self._moved = False
        self._end: Ended | DomainError | None = None
        self.over = False
        """The reply ended or the watch failed: nothing more will arrive."""

    @property
    def id(self) -> str:
        return self._start.watch_id

    def start(self) -> pb.WatchRepliesRequest:
        """The command that goes on with this watch, on whatever stream, after all that arrived."""
        command = pb.WatchRepliesRequest(start=self._start)
        command.start.reply.start_cursor = self._received
        return command

    def receive(self, event: pb.WatchEvent) -> None:
        match event.WhichOneof("event"):
            case "delta":
                self._text.append(event.delta.text)
                self._received, self._queue_position = event.cursor, None
            case "heartbeat":
                position = event.heartbeat.queue_position if event.heartbeat.HasField("queue_position") else None
                self._moved = self._moved or position != self._queue_position
                self._queue_position = position
            case "ended":
                self._finish(Ended(event.cursor, event.ended.message))
            case "failure":
                self._finish(from_status(event.failure))

    def _finish(self, end: Ended | DomainError) -> None:
        self._end, self.over = end, True

    def heartbeat(self) -> Heartbeat:
        self._moved = False
        return Heartbeat(self._taken, self._queue_position)

    def take(self) -> Event | None:
        """What there is to tell by now. Raises DomainError if the watch failed."""
        if self._text:
            delta = Delta(self._received, "".join(self._text))
            self._text.clear()
            self._taken = self._received
            return delta
        if isinstance(self._end, DomainError):
            raise self._end
        if self._end:
            return self._end
        return self.heartbeat() if self._moved else None
