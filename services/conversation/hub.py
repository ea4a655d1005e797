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
from services.chassis.tick import pause_after
from services.conversation.config import Config
from services.conversation.draft import Turn
from services.conversation.feed import Feeds
from services.conversation.journal import Journal
from services.conversation.peers import History
from services.conversation.writer import Writer

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
"""Between attempts to listen while the journal is away."""
AGAIN_SECONDS = 0.5
"""Between two looks at a reply that could not be read."""
BATCH = 256
"""Replies that one call reads on."""
MAX_LOOKUPS = 64
"""Replies that are looked for in history at once."""


class Followed:
    """A reply that is watched here: its text so far, and in the end its message or why it cannot be read."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.text = bytearray()
        self.queue_position: int | None = None
        self.ended: Message | None = None
        self.failure: DomainError | None = None
        self.looking = False
        """Somebody looks for it in history right now."""
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

    def __init__(self, journal: Journal, history: History, writer: Writer, feeds: Feeds, config: Config) -> None:
        self._journal, self._history, self._writer, self._config = journal, history, writer, config
        self._feeds = feeds
        self._followed: dict[str, dict[Turn, Followed]] = {}
        """By the turn's id, and then by who watches it."""
        self._dirty: list[set[str]] = [set() for _ in journal.shards]
        self._news = [asyncio.Event() for _ in journal.shards]
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)
        self._unread: set[str] = set()
        """Turns that could not be looked at when it was their time."""

    @contextmanager
    def follow(self, turn: Turn, wake: Callable[[], None]) -> Iterator[Followed]:
        """Has `wake` called whenever the reply changed, first soon after the start."""
        same_turn = self._followed.setdefault(turn.turn_id, {})
        followed = same_turn.setdefault(turn, Followed(turn))
        followed.watchers[wake] = None
        self._look_at([turn.turn_id])
        try:
            yield followed
        finally:
            followed.watchers.pop(wake, None)
            if not followed.watchers:
                same_turn.pop(turn, None)
            if not same_turn:
                self._followed.pop(turn.turn_id, None)

    def end(self, turn: Turn, message: Message) -> None:
        """The reply ended, as stored: whoever watches it on this process need not look for it in history."""
        followed = self._followed.get(turn.turn_id, {}).get(turn)
        if followed and not followed.over:
            followed.end(message)

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
            for shard in self._journal.shards:
                tasks.create_task(self._read(shard, tasks))

    def _look_at(self, turn_ids: Iterable[str]) -> None:
        for turn_id in turn_ids:
            for turn in self._followed.get(turn_id, ()):
                shard = self._journal.shard(turn.conversation_id)
                self._dirty[shard].add(turn_id)
                self._news[shard].set()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._journal.listen() as news:
                    # What was published before is lost.
                    self._feeds.miss()
                    self._look_at(self._followed)
                    async for item in news:
                        self._writer.cancel(item.cancelled)
                        self._look_at(item.changed)
                        self._feeds.tell(item.told)
            except DomainError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _poll(self) -> None:
        looked = time.monotonic()
        while True:
            await asyncio.sleep(min(AGAIN_SECONDS, self._config.poll_seconds))
            unread, self._unread = self._unread, set()
            if time.monotonic() - looked >= self._config.poll_seconds:
                unread, looked = set(self._followed), time.monotonic()
            self._look_at(unread)

    async def _read(self, shard: int, tasks: asyncio.TaskGroup) -> None:
        """Each shard by itself: one whose server hangs holds up no other."""
        news = self._news[shard]
        while True:
            await news.wait()
            news.clear()  # before reading: what comes later sets it again
            started = time.monotonic()
            dirty, self._dirty[shard] = self._dirty[shard], set()
            brought = await asyncio.gather(*(self._read_batch(batch, tasks) for batch in self._batches(dirty)))
            if any(brought):
                await asyncio.sleep(pause_after(started, self._config.tick_seconds))

    def _batches(self, turn_ids: set[str]) -> Iterator[list[Followed]]:
        """The followed replies among these turns of one shard that are not over; no batch is too large."""
        turns = turn_ids & self._followed.keys()
        found = [each for turn_id in turns for each in self._followed[turn_id].values() if not each.over]
        for start in range(0, len(found), BATCH):
            yield found[start : start + BATCH]

    async def _read_batch(self, batch: list[Followed], tasks: asyncio.TaskGroup) -> bool:
        """Reads on in replies of one shard. Returns whether there was more."""
        try:
            readings = await self._journal.read([(each.turn, len(each.text)) for each in batch])
        except DomainError:
            # The journal is away: a reply may have ended all the same.
            for followed in batch:
                self._unread.add(followed.turn.turn_id)
                self._look(followed, tasks, queue=False)
            return False
        for followed, reading in zip(batch, readings, strict=True):
            if followed.over:  # meanwhile: its text is the stored one
                continue
            if reading.text or reading.queue_position != followed.queue_position:
                followed.text += reading.text
                followed.queue_position = reading.queue_position
                followed.wake()
            if reading.ended or not reading.known:
                self._look(followed, tasks, queue=not reading.known)
        return any(reading.text for reading in readings)

    def _look(self, followed: Followed, tasks: asyncio.TaskGroup, *, queue: bool) -> None:
        """Looks into history beside the reading, so that a slow answer holds up nobody else."""
        if not followed.looking:
            followed.looking = True
            tasks.create_task(self._look_into_history(followed, queue=queue))

    async def _look_into_history(self, followed: Followed, *, queue: bool) -> None:
        """Ends the reply if it has a result; queues it again if the journal lost it (it is a function of its row)."""
        turn = followed.turn
        try:
            async with self._lookups:
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
            log(logger, logging.WARNING, "reply not readable for now", reply_id=turn.reply_id, reason=error.reason)
            self._unread.add(turn.turn_id)
            if error.reason in (Reason.UNAUTHENTICATED, Reason.PERMISSION_DENIED):
                followed.fail(not_found("message"))  # nothing was ever reserved for this account under this id
        finally:
            followed.looking = False
