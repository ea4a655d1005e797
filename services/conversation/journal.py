"""The journal: replies while they are written, and the queue of turns. All of it may vanish without loss.

A reply's text and token ids are two byte strings that are written at exact offsets, under the epoch of the claim that
allows it: writing twice is harmless, and a runner that lost its turn cannot write. The scripts in lua/ are atomic, and
each touches the keys of one shard alone, so that a shard lives on one node of a cluster.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib import resources
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError, ResponseError

from services.chassis.errors import DomainError, Reason
from services.conversation.config import Config
from services.conversation.draft import Claim, Draft, News, Outcome, Reading, Turn
from services.conversation.entries import flat, from_entries, to_entry
from services.conversation.keys import Keys

GROUP = "runners"
RUNNER = "runner"
"""Every consumer of the group: whose turn it is, its lease says."""
BLOCK_MILLISECONDS = 1_000
LOOK_AT = 200
"""Turns in the queue that one look for lapsed leases passes."""
SOCKET_SECONDS = 5.0

Script = Callable[[Sequence[str], Sequence[object]], Awaitable[Any]]


class Journal:
    def __init__(self, redis: Redis, config: Config) -> None:
        self._redis, self._config = redis, config
        self._keys = Keys(config.shards)
        self.shards = range(config.shards)
        self._lease = int(config.lease_seconds * 1000)
        self._renew = int(config.renew_seconds * 1000)
        self._ttl = config.journal_ttl_seconds * 1000
        self._looked: dict[int, bytes | str] = dict.fromkeys(self.shards, "0-0")
        """How far the last look for lapsed turns came."""

        def script(name: str) -> Script:
            source = resources.files("services.conversation").joinpath("lua", f"{name}.lua").read_text()
            return cast("Script", redis.register_script(source))

        self._enqueue, self._claim, self._append = script("enqueue"), script("claim"), script("append")
        self._restore, self._finish = script("restore"), script("finish")
        self._cancel, self._read = script("cancel"), script("read")
        self._lapsed, self._release = script("lapsed"), script("release")

    def shard(self, conversation_id: str) -> int:
        return self._keys.shard(conversation_id)

    # -- the queue ---------------------------------------------------------------------------------------------------

    async def enqueue(self, turn: Turn, *, cancelled: bool = False) -> None:
        """Queues a turn unless the journal knows the reply. Raises UNAVAILABLE, also where the queue is full."""
        keys = [self._keys.record(turn), self._keys.running(turn), self._keys.turns_of(turn)]
        with _as_unavailable():
            queued = await self._enqueue(
                keys, [*to_entry(turn), int(cancelled), self._ttl, self._config.max_queued_turns]
            )
        if queued < 0:
            raise DomainError(Reason.UNAVAILABLE, "Too many replies are waiting.", retry_after=5)

    async def take(self, shard: int, count: int) -> list[Turn]:
        """Up to `count` turns that nobody took yet; waits a second for one."""
        with _as_unavailable():
            try:
                found = await self._redis.xreadgroup(
                    GROUP, RUNNER, {self._keys.turns(shard): ">"}, count=count, block=BLOCK_MILLISECONDS
                )
            except ResponseError:
                await self._make_group(shard)
                return []
        entries = found.values() if isinstance(found, dict) else [stream[1] for stream in found or ()]
        return from_entries([entry for stream in entries for entry in flat(stream)])

    async def take_over(self, shard: int) -> list[Turn]:
        """Turns that were taken and not finished, and whose leases have lapsed. Each call looks a part further."""
        with _as_unavailable():
            try:
                found = await self._redis.xautoclaim(
                    self._keys.turns(shard),
                    GROUP,
                    RUNNER,
                    self._renew // 2,
                    start_id=self._looked[shard],
                    count=LOOK_AT,
                )
            except ResponseError:
                await self._make_group(shard)
                return []
            self._looked[shard] = found[0]
            turns = from_entries(found[1])
            lapsed = await self._lapsed([self._keys.record(turn) for turn in turns], [self._lease]) if turns else []
        return [turn for turn, is_lapsed in zip(turns, lapsed, strict=True) if is_lapsed]

    async def release(self, draft: Draft) -> None:
        """Gives up a turn's lease, so that another runner takes it at once."""
        with _as_unavailable():
            await self._release([self._keys.record(draft.turn)], [draft.epoch])

    async def done(self, turn: Turn) -> None:
        """Takes a turn out of the queue."""
        turns = self._keys.turns_of(turn)
        with _as_unavailable():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.xack(turns, GROUP, turn.entry_id)
                pipeline.xdel(turns, turn.entry_id)
                await pipeline.execute()

    async def _make_group(self, shard: int) -> None:
        try:
            await self._redis.xgroup_create(self._keys.turns(shard), GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    # -- writing -----------------------------------------------------------------------------------------------------

    async def claim(self, turn: Turn) -> Claim | None:
        """Takes a turn under a new epoch, with what was written so far; None while another's lease is alive."""
        keys = self._keys.of_draft(turn)
        with _as_unavailable():
            found = await self._claim(keys, [turn.reply_id, turn.tenant_id, turn.account_id, self._lease, self._ttl])
        if not found:
            return None
        epoch, claims, cancel, tokens, text = found
        draft = Draft(turn, epoch, bytearray(tokens), bytearray(text), len(tokens), len(text))
        if cancel == b"1":
            draft.cancelled.set()
        return Claim(draft, claims)

    async def append(self, shard: int, drafts: Sequence[Draft]) -> list[Outcome]:
        """Writes what drafts of one shard have that the journal has not, and renews their leases. One call for all."""
        keys: list[str] = []
        values: list[object] = [self._lease, self._ttl, self._keys.channel(shard)]
        for draft in drafts:
            keys += [self._keys.record(draft.turn), self._keys.text(draft.turn), self._keys.tokens(draft.turn)]
            position = "" if draft.queue_position is None else draft.queue_position
            tokens, text = bytes(draft.tokens[draft.written_tokens :]), bytes(draft.text[draft.written_text :])
            values += [draft.turn.turn_id, draft.epoch, draft.written_tokens, tokens]
            values += [draft.written_text, text, position]
        ends = [(len(draft.tokens), len(draft.text), draft.queue_position) for draft in drafts]
        with _as_unavailable():
            answers = await self._append(keys, values)
        outcomes = [Outcome(answer.decode()) for answer in answers]
        for draft, outcome, end in zip(drafts, outcomes, ends, strict=True):
            if outcome in (Outcome.OK, Outcome.CANCEL):
                draft.written_tokens, draft.written_text, draft.written_queue_position = end
                draft.confirmed = True
        return outcomes

    async def restore(self, draft: Draft) -> None:
        """Makes a draft known again that the journal lost; its content is to be appended from the start."""
        turn = draft.turn
        keys = [*self._keys.of_draft(turn), self._keys.turns_of(turn)]
        with _as_unavailable():
            await self._restore(
                keys, [*to_entry(turn), draft.epoch, int(draft.cancelled.is_set()), self._lease, self._ttl]
            )
        draft.written_tokens = draft.written_text = 0

    async def finish(self, turn: Turn) -> None:
        """Says that a reply has ended; its result is stored in history."""
        values = [turn.reply_id, turn.turn_id, self._config.linger_seconds * 1000, self._keys.channel_of(turn)]
        with _as_unavailable():
            await self._finish(self._keys.of_draft(turn), values)

    async def cancel(self, turn: Turn) -> None:
        """Asks whoever writes the reply to stop; if nobody does, whoever takes it will."""
        with _as_unavailable():
            known = await self._cancel([self._keys.record(turn)], [turn.turn_id, self._keys.channel_of(turn)])
        if not known:
            await self.enqueue(turn, cancelled=True)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def read(self, wanted: Sequence[tuple[Turn, int]]) -> list[Reading]:
        """Reads replies of one shard, each from an offset in bytes. One call for all."""
        keys = [key for turn, _ in wanted for key in (self._keys.record(turn), self._keys.text(turn))]
        values = [value for turn, offset in wanted for value in (offset, turn.tenant_id, turn.account_id)]
        with _as_unavailable():
            answers = await self._read(keys, values)
        return [
            Reading(status != b"", status == b"ended", int(queue) if queue else None, text)
            for status, queue, text in answers
        ]

    async def running(self, conversation_id: str) -> list[str]:
        """The replies of a conversation that are queued or being written."""
        with _as_unavailable():
            members = await self._redis.smembers(self._keys.running_in(conversation_id))
        return [cast("bytes", member).decode() for member in members]

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[News]]:
        """What happens to replies from now on. News may be lost: readers also look by themselves now and then."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            with _as_unavailable():
                await pubsub.subscribe(*(self._keys.channel(shard) for shard in self.shards))
            yield self._news(pubsub)

    async def _news(self, pubsub: Any) -> AsyncIterator[News]:
        while True:
            with _as_unavailable():
                message = await pubsub.get_message(timeout=BLOCK_MILLISECONDS / 1000)
            if message:
                names = message["data"].decode().split()
                cancelled = frozenset(name[1:] for name in names if name.startswith("!"))
                yield News(frozenset(name for name in names if not name.startswith("!")), cancelled)

    async def check(self) -> None:
        """Raises UNAVAILABLE while Redis does not answer."""
        with _as_unavailable():
            await self._redis.ping()


@asynccontextmanager
async def open_journal(config: Config) -> AsyncIterator[Journal]:
    pool = BlockingConnectionPool.from_url(
        config.redis_url.get_secret_value(),
        max_connections=config.redis_connections,
        timeout=SOCKET_SECONDS,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        health_check_interval=15,
    )
    async with Redis.from_pool(pool) as redis:
        yield Journal(redis, config)


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise DomainError(Reason.UNAVAILABLE, "The journal is not available.", retry_after=1) from error
