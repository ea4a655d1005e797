"""Replies in the making, as the conversation replicas of a test share them."""

import asyncio

from parley.conversation.v1 import conversation_service_pb2 as pb
from parley.history.v1 import history_service_pb2
from parley.inference.v1 import generation_pb2
from services.chassis.errors import DomainError, Reason


class Journal:
    """One reply: text that a test appends to, and its end. A cursor is an offset in UTF-8."""

    def __init__(self, message: history_service_pb2.Message, changed: "Changes") -> None:
        self.message, self._changed = message, changed
        self.text = b""
        self.queue_position: int | None = None
        self.ended = False

    def append(self, text: str) -> None:
        self.text += text.encode()
        self._changed.tell()

    def queue(self, position: int) -> None:
        self.queue_position = position
        self._changed.tell()

    def end(
        self,
        status: history_service_pb2.MessageStatus.ValueType = history_service_pb2.MESSAGE_STATUS_COMPLETED,
        finish_reason: generation_pb2.FinishReason.ValueType = generation_pb2.FINISH_REASON_STOP,
        failure_reason: str = "",
    ) -> None:
        if self.ended:
            return
        self.message.text, self.message.status = self.text.decode(), status
        self.message.result.CopyFrom(
            history_service_pb2.ReplyResult(
                status=status,
                text=self.text.decode(),
                finish_reason=finish_reason,
                usage=generation_pb2.TokenUsage(prompt_tokens=7, completion_tokens=3),
                failure_reason=failure_reason,
            )
        )
        self.ended = True
        self._changed.tell()


class Changes:
    """Wakes every stream of watches when a journal grows."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Event] = set()

    def tell(self) -> None:
        for listener in self._listeners:
            listener.set()

    def add(self, listener: asyncio.Event) -> None:
        self._listeners.add(listener)

    def remove(self, listener: asyncio.Event) -> None:
        self._listeners.discard(listener)


class Reader:
    """One watch of one journal."""

    def __init__(self, watch_id: str, journal: Journal, cursor: str) -> None:
        self.watch_id, self._journal = watch_id, journal
        self._offset = offset(cursor)
        self._queue_position: int | None = None

    def events(self) -> list[pb.WatchEvent]:
        """What gathered since the last look, merged; the end last."""
        events: list[pb.WatchEvent] = []
        journal = self._journal
        if journal.queue_position != self._queue_position and not journal.text:
            self._queue_position = journal.queue_position
            events.append(self._event(heartbeat=pb.ReplyHeartbeat(queue_position=self._queue_position)))
        if text := journal.text[self._offset :].decode():
            self._offset = len(journal.text)
            events.append(self._event(delta=pb.ReplyDelta(text=text)))
        if journal.ended:
            events.append(self._event(ended=pb.ReplyEnded(message=journal.message)))
        return events

    def _event(
        self,
        delta: pb.ReplyDelta | None = None,
        ended: pb.ReplyEnded | None = None,
        heartbeat: pb.ReplyHeartbeat | None = None,
    ) -> pb.WatchEvent:
        return pb.WatchEvent(
            watch_id=self.watch_id, cursor=f"c{self._offset}", delta=delta, ended=ended, heartbeat=heartbeat
        )


class Listener:
    """One watch of one account's conversations."""

    def __init__(self, watch_id: str, account_id: str, told: list[tuple[str, pb.ConversationChange]]) -> None:
        self.watch_id, self._account_id, self._told = watch_id, account_id, told
        self._heard = len(told)
        self._missed = True

    def events(self) -> list[pb.WatchEvent]:
        new, self._heard = self._told[self._heard :], len(self._told)
        mine = [change for account_id, change in new if account_id == self._account_id]
        missed, self._missed = self._missed, False
        if not missed and not mine:
            return []
        return [pb.WatchEvent(watch_id=self.watch_id, changes=pb.ConversationChanges(missed=missed, changes=mine))]


def offset(cursor: str) -> int:
    if cursor and not (cursor[0] == "c" and cursor[1:].isdecimal()):
        raise DomainError(Reason.INVALID_CURSOR, "The cursor does not belong to this reply.")
    return int(cursor[1:] or 0) if cursor else 0
