"""Reads the replies that somebody watches on this process, each once however many watch, and wakes its watchers."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from parley.history.v1.history_service_pb2 import Message
from services.chassis.errors import DomainError, Reason, not_found
from services.chassis.identity import acting_for
from services.chassis.telemetry import log
from services.conversation.config import Config
from services.conversation.draft import Turn
from services.conversation.journal import Journal, Reading
from services.conversation.peers import History
from services.conversation.writer import Writer

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


class Followed:
    """A reply that is watched here: its text so far, and in the end its message or why it cannot be read."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.text = bytearray()
        self.queue_position: int | None = None
        self.ended: Message | None = None
        self.failure: DomainError | None = None
        self.watchers: dict[Callable[[], None], None] = {}
        """Called when something changed."""

    @property
    def over(self) -> bool:
        return self.ended is not None or self.failure is not None

    def wake(self) -> None:
        for wake in tuple(self.watchers):
            wake()

    def fail(self, error: DomainError) -> None:
        self.failure = error
        self.wake()

    def end(self, message: Message) -> None:
        # The stored text is what counts; what was read before is its beginning.
        self.text = bytearray(message.text.encode())
        self.ended = message
        self.wake()


class Hub:
    """`run` must be running."""

    def __init__(self, journal: Journal, history: History, writer: Writer, config: Config) -> None:
        self._journal, self._history, self._writer, self._config = journal, history, writer, config
        self._followed: dict[tuple[str, str, str], Followed] = {}
        self._dirty: set[str] = set()
        self._news = asyncio.Event()

    @contextmanager
    def follow(self, turn: Turn, wake: Callable[[], None]) -> Iterator[Followed]:
        """Has `wake` called whenever the reply changed, first soon after the start."""
        key = (turn.tenant_id, turn.account_id, turn.reply_id)
        followed = self._followed.get(key)
        if followed is None:
            followed = self._followed[key] = Followed(turn)
        followed.watchers[wake] = None
        self._look_at(turn.reply_id)
        try:
            yield followed
        finally:
            followed.watchers.pop(wake, None)
            if not followed.watchers and self._followed.get(key) is followed:
                del self._followed[key]

    async def wait(self, turn: Turn) -> Message:
        """The reply once it ended. Raises DomainError; wrap it in a timeout."""
        changed = asyncio.Event()
        with self.follow(turn, changed.set) as followed:
            while followed.ended is None:
                if followed.failure:
                    raise followed.failure
                await changed.wait()
                changed.clear()
            return followed.ended

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._poll())
            tasks.create_task(self._read())

    def _look_at(self, *reply_ids: str) -> None:
        self._dirty.update(reply_ids)
        self._news.set()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._journal.listen() as news:
                    async for item in news:
                        self._writer.cancel(item.cancelled)
                        self._look_at(*item.changed)
            except DomainError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._config.poll_seconds)
            self._look_at(*(followed.turn.reply_id for followed in self._followed.values()))

    async def _read(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()  # before reading: what comes later sets it again
            started = time.monotonic()
            dirty, self._dirty = self._dirty, set()
            wanted = [each for each in self._followed.values() if each.turn.reply_id in dirty and not each.over]
            brought = await asyncio.gather(*map(self._read_batch, self._by_shard(wanted)))
            if any(brought):
                await asyncio.sleep(max(0.0, started + self._config.tick_seconds - time.monotonic()))

    def _by_shard(self, wanted: list[Followed]) -> Iterable[list[Followed]]:
        batches: dict[int, list[Followed]] = {}
        for followed in wanted:
            batches.setdefault(self._journal.shard(followed.turn.conversation_id), []).append(followed)
        return batches.values()

    async def _read_batch(self, batch: list[Followed]) -> bool:
        """Reads on in replies of one shard. Returns whether there was more."""
        try:
            readings = await self._journal.read([(each.turn, len(each.text)) for each in batch])
        except DomainError:
            readings = [Reading(known=False, ended=True, queue_position=None, text=b"") for _ in batch]
        async with asyncio.TaskGroup() as tasks:
            for followed, reading in zip(batch, readings, strict=True):
                if reading.text or reading.queue_position != followed.queue_position:
                    followed.text += reading.text
                    followed.queue_position = reading.queue_position
                    followed.wake()
                if reading.ended or not reading.known:
                    tasks.create_task(self._look_into_history(followed, queue=not reading.known and not reading.ended))
        return any(reading.text for reading in readings)

    async def _look_into_history(self, followed: Followed, *, queue: bool) -> None:
        """Ends the reply if it has a result; queues it again if the journal lost it (it is a function of its row)."""
        turn = followed.turn
        try:
            with acting_for(turn.owner):
                message = await self._history.find(turn.conversation_id, turn.reply_id)
            if message is None:
                followed.fail(not_found("message"))
            elif message.HasField("result") or not message.HasField("request"):
                followed.end(message)
            elif queue:
                log(logger, logging.INFO, "turn queued again", reply_id=turn.reply_id)
                await self._journal.enqueue(turn)
        except DomainError as error:
            if error.reason in (Reason.UNAUTHENTICATED, Reason.PERMISSION_DENIED):
                followed.fail(not_found("message"))  # nothing was ever reserved for this account under this id
            log(logger, logging.WARNING, "reply not readable for now", reply_id=turn.reply_id, reason=error.reason)
