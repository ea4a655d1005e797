"""Watching: what a peer has not seen yet of each reply that it watches, merged into one response a tick."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Self

from parley.conversation.v1 import conversation_service_pb2 as pb
from services.chassis.errors import DomainError, Reason, to_status
from services.chassis.tick import pause_after
from services.conversation.config import Config
from services.conversation.cursor import invalid_cursor, seal
from services.conversation.draft import Turn
from services.conversation.feed import Feed, Feeds
from services.conversation.hub import Followed, Hub

HEARTBEAT_SECONDS = 0.5
RESPONSE_BYTES = 2 * 1024 * 1024
"""A response that grew past this is sent as it is; the other watches wait for the next."""


@dataclass(slots=True)
class Watch:
    """One reader of one reply. It holds an offset, not text, so a slow reader costs no memory."""

    watch_id: str
    followed: Followed
    offset: int
    queue_position: int | None = None

    def events(self) -> list[pb.WatchEvent]:
        """What happened since the last call. Raises DomainError where the watch cannot go on."""
        found = self._position()
        text, ended = self.followed.text, self.followed.ended
        if self.followed.failure:
            raise self.followed.failure
        if self.offset < len(text):
            if text[self.offset] & 0xC0 == 0x80:  # in the middle of a character
                raise invalid_cursor()
            delta = text[self.offset :].decode()
            self.offset = len(text)
            found.append(self._event(delta=pb.ReplyDelta(text=delta)))
        if ended:
            if self.offset > len(text):
                raise invalid_cursor()
            found.append(self._event(ended=pb.ReplyEnded(message=ended)))
        return found

    def _position(self) -> list[pb.WatchEvent]:
        position = self.followed.queue_position
        if position == self.queue_position:
            return []
        self.queue_position = position
        return [self._event(heartbeat=pb.ReplyHeartbeat(queue_position=position))]

    def _event(
        self,
        delta: pb.ReplyDelta | None = None,
        ended: pb.ReplyEnded | None = None,
        heartbeat: pb.ReplyHeartbeat | None = None,
    ) -> pb.WatchEvent:
        cursor = seal(self.followed.turn.reply_id, self.offset)
        return pb.WatchEvent(watch_id=self.watch_id, cursor=cursor, delta=delta, ended=ended, heartbeat=heartbeat)


@dataclass(slots=True)
class AccountWatch:
    """One reader of what changes in an account's conversations."""

    watch_id: str
    feed: Feed

    def events(self) -> list[pb.WatchEvent]:
        """What happened since the last call."""
        missed, changed = self.feed.take()
        if not missed and not changed:
            return []
        changes = [
            pb.ConversationChange(
                conversation_id=change.conversation_id,
                conversation_changed=change.itself,
                message_ids=change.message_ids,
            )
            for change in changed
        ]
        return [pb.WatchEvent(watch_id=self.watch_id, changes=pb.ConversationChanges(missed=missed, changes=changes))]


class Watches:
    """The watches of one stream. Use as a context manager; leaving it ends them all."""

    def __init__(self, hub: Hub, feeds: Feeds, config: Config) -> None:
        self._hub, self._feeds, self._config = hub, feeds, config
        self._watches: dict[str, tuple[Watch | AccountWatch, ExitStack]] = {}
        self._failures: list[pb.WatchEvent] = []
        self._dirty: set[str] = set()
        self._news = asyncio.Event()
        self._leaving = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for watch_id in tuple(self._watches):
            self.stop(watch_id)

    def leave(self) -> None:
        """Ends the stream without an error: its reader goes on elsewhere."""
        self._leaving = True
        self._news.set()

    def start(self, watch_id: str, turn: Turn, offset: int) -> None:
        """Starts a watch; one that has this id already goes on instead."""
        if self._has_room(watch_id):
            following = ExitStack()
            followed = following.enter_context(self._hub.follow(turn, lambda: self._wake(watch_id)))
            self._watches[watch_id] = (Watch(watch_id, followed, offset), following)
            self._wake(watch_id)

    def start_account(self, watch_id: str, tenant_id: str, account_id: str) -> None:
        """Starts a watch of an account's conversations; one that has this id already goes on instead."""
        if self._has_room(watch_id):
            following = ExitStack()
            feed = following.enter_context(self._feeds.follow(tenant_id, account_id, lambda: self._wake(watch_id)))
            self._watches[watch_id] = (AccountWatch(watch_id, feed), following)
            self._wake(watch_id)

    def _has_room(self, watch_id: str) -> bool:
        if watch_id in self._watches:
            return False
        if len(self._watches) >= self._config.max_watches:
            self.fail(watch_id, DomainError(Reason.LIMIT_EXCEEDED, "The stream cannot take this watch."))
            return False
        return True

    def stop(self, watch_id: str) -> None:
        _, following = self._watches.pop(watch_id, (None, ExitStack()))
        following.close()

    def fail(self, watch_id: str, error: DomainError) -> None:
        """Ends a watch, or refuses it before it began."""
        self._failures.append(pb.WatchEvent(watch_id=watch_id, failure=to_status(error)))
        self._news.set()

    async def responses(self) -> AsyncIterator[list[pb.WatchEvent]]:
        """What gathered, at most once a tick; empty when nothing did for half a second."""
        written = time.monotonic()
        while not self._leaving:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, written + HEARTBEAT_SECONDS - time.monotonic())):
                    await self._news.wait()
            self._news.clear()  # before collecting: what comes later sets it again
            started = time.monotonic()
            events = self._collect()
            if events or started - written >= HEARTBEAT_SECONDS:
                yield events
                written = time.monotonic()
            if events:
                await asyncio.sleep(pause_after(started, self._config.tick_seconds))

    def _wake(self, watch_id: str) -> None:
        self._dirty.add(watch_id)
        self._news.set()

    def _collect(self) -> list[pb.WatchEvent]:
        events, self._failures = self._failures, []
        size = 0
        while self._dirty and size < RESPONSE_BYTES:
            watch_id = self._dirty.pop()
            if watch_id not in self._watches:
                continue
            try:
                found = self._watches[watch_id][0].events()
            except DomainError as error:
                found = [pb.WatchEvent(watch_id=watch_id, failure=to_status(error))]
            events += found
            size += sum(event.ByteSize() for event in found)
            if found and (found[-1].HasField("ended") or found[-1].HasField("failure")):
                self.stop(watch_id)
        if self._dirty:
            self._news.set()
        return events
