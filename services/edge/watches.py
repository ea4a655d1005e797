"""All that is watched through this process, replies and accounts, on one stream to the conversation service."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import grpc

from parley.conversation.v1 import conversation_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller
from services.chassis.ids import new_id
from services.chassis.telemetry import log
from services.edge.config import Config
from services.edge.feed import Changes, Feed
from services.edge.mesh import Mesh
from services.edge.metrics import Metrics
from services.edge.rounds import Look, Rounds
from services.edge.watch import Delta, Ended, Event, Watch

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.05
"""Seconds before a lost stream is opened again; doubled while that fails."""

Stream = grpc.aio.StreamStreamCall[pb.WatchRepliesRequest, pb.WatchRepliesResponse]


class Watches:
    """Subscribers come and go. The stream under them may be lost and opened again elsewhere, a pause to them."""

    def __init__(self, config: Config, mesh: Mesh, metrics: Metrics) -> None:
        self._config, self._mesh, self._metrics = config, mesh, metrics
        self._rounds = Rounds(config.tick_seconds, config.heartbeat_seconds)
        self._watches: dict[str, tuple[Watch | Feed, Look]] = {}
        self._of_account: Counter[tuple[str, str]] = Counter()
        self._feeds_of: Counter[tuple[str, str]] = Counter()
        # Watches to start or stop on the stream; at most one entry for each open or just closed watch.
        self._changed: dict[str, None] = {}
        self._change = asyncio.Event()
        self._started: set[str] = set()
        """Watches that the stream of now was told of."""

    async def follow(self, reply: pb.WatchReplyRequest, who: Caller) -> AsyncGenerator[Event, None]:
        """The events of a reply after its start_cursor, a heartbeat first. Ends after Ended; raises DomainError."""
        start = pb.StartWatch(watch_id=new_id(), tenant_id=who.tenant_id, account_id=who.account_id, reply=reply)
        watch = Watch(start)
        with self._watching(watch, who) as look:
            yield watch.heartbeat()
            while True:
                silence = await look.next()
                event = watch.take() or (watch.heartbeat() if silence else None)
                if event is None:
                    continue
                yield event
                if isinstance(event, Ended):
                    return
                if isinstance(event, Delta):
                    self._metrics.deltas.inc()
                self._rounds.told(look)
                if watch.over:
                    look.begin()  # nothing more will arrive, and nothing will wake it

    async def follow_conversations(self, who: Caller) -> AsyncGenerator[Changes | None, None]:
        """What changes in an account's conversations; None as a heartbeat. Raises DomainError."""
        feed = Feed(pb.StartAccountWatch(watch_id=new_id(), tenant_id=who.tenant_id, account_id=who.account_id))
        mine = (who.tenant_id, who.account_id)
        if self._feeds_of[mine] >= self._config.max_feeds_per_account:
            raise DomainError(Reason.LIMIT_EXCEEDED, "The account's conversations are watched often enough here.")
        with self._watching(feed, who) as look, _counted(self._feeds_of, mine):
            while True:
                silence = await look.next()
                if (changes := feed.take()) or silence:
                    yield changes
                    self._rounds.told(look)

    @contextmanager
    def _watching(self, watch: Watch | Feed, who: Caller) -> Iterator[Look]:
        mine = (who.tenant_id, who.account_id)
        full = len(self._watches) >= self._config.max_watches
        if full or self._of_account[mine] >= self._config.max_watches_per_account:
            raise DomainError(Reason.LIMIT_EXCEEDED, "Too many replies are watched here.", retry_after=1)
        self._touch(watch.id)
        self._metrics.watches.inc()
        try:
            with self._rounds.joined() as look, _counted(self._of_account, mine):
                self._watches[watch.id] = watch, look
                yield look
        finally:
            self._metrics.watches.dec()
            if self._watches.pop(watch.id, None):
                self._touch(watch.id)

    def _touch(self, watch_id: str) -> None:
        self._changed[watch_id] = None
        self._change.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._rounds.run())
            tasks.create_task(self._keep_open())

    async def _keep_open(self) -> None:
        pause = FIRST_PAUSE
        while True:
            opened = asyncio.Event()
            try:
                await self._stream(opened)
            except* Exception as lost:  # noqa: BLE001 - whatever it was, subscribers wait for the next stream
                reasons = sorted({type(error).__name__ for error in lost.exceptions})
                log(logger, logging.WARNING, "the stream of watches is lost", reasons=reasons)
            self._metrics.reopenings.inc()
            pause = FIRST_PAUSE if opened.is_set() else min(2 * pause, self._config.max_reopen_seconds)
            # Edges that lost one replica do not all come back at once.
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311

    async def _stream(self, opened: asyncio.Event) -> None:
        async with asyncio.timeout(self._config.silence_seconds):
            metadata = await self._mesh.conversation.metadata(None)
        call = self._mesh.turns.WatchReplies(timeout=self._config.watch_stream_seconds, metadata=metadata)
        self._changed, self._started = dict.fromkeys(self._watches), set()
        self._change.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(call))
                group.create_task(self._read(call, opened))
        finally:
            call.cancel()

    async def _write(self, call: Stream) -> None:
        while True:
            await self._change.wait()
            self._change.clear()
            while self._changed:
                watch_id = next(iter(self._changed))
                del self._changed[watch_id]
                known = self._watches.get(watch_id)
                if known and watch_id not in self._started:
                    self._started.add(watch_id)
                    await call.write(known[0].start())
                elif not known and watch_id in self._started:
                    self._started.remove(watch_id)
                    await call.write(pb.WatchRepliesRequest(stop=pb.StopWatch(watch_id=watch_id)))

    async def _read(self, call: Stream, opened: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._config.silence_seconds) as silence:
            async for response in call:
                opened.set()
                silence.reschedule(loop.time() + self._config.silence_seconds)
                for event in response.events:
                    self._deliver(event)
        # An end without an error is the server's way to let go of an old stream.
        raise DomainError(Reason.UNAVAILABLE, "The stream ended.")

    def _deliver(self, event: pb.WatchEvent) -> None:
        if (known := self._watches.get(event.watch_id)) is None:
            return
        watch, look = known
        watch.receive(event)
        self._rounds.wake(look)
        if watch.over:
            del self._watches[event.watch_id]
            self._started.discard(event.watch_id)


@contextmanager
def _counted(counts: Counter[tuple[str, str]], account: tuple[str, str]) -> Iterator[None]:
    counts[account] += 1
    try:
        yield
    finally:
        counts[account] -= 1
        if not counts[account]:
            del counts[account]
