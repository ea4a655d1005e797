"""Replies while they are written, and the queue of turns, as scripts on Redis.

A reply's text and token ids are two byte strings that are written at exact offsets, under the epoch of the claim that
allows it: writing twice is harmless, and a runner that lost its turn cannot write. The scripts in lua/ are atomic, each
touches the keys of one shard alone, and each may run twice.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from redis.exceptions import ResponseError

from services.chassis.errors import DomainError, Reason
from services.chassis.telemetry import log
from services.conversation.config import Config
from services.conversation.draft import Claim, Draft, News, Outcome, Reading, Turn
from services.conversation.entries import from_entries, to_entry
from services.conversation.feed import Change
from services.conversation.journal.check import Check
from services.conversation.journal.failures import as_unavailable, unavailable
from services.conversation.journal.news import announcement, listening
from services.conversation.journal.script import Script
from services.conversation.journal.servers import Servers, open_servers
from services.conversation.keys import Keys

logger = logging.getLogger(__name__)

GROUP = "runners"
RUNNER = "runner"
"""Every consumer of the group: whose turn it is, its lease says."""
BLOCK_MILLISECONDS = 1_000
CALL_SECONDS = 5.0
"""All that a call may take, also where several servers are asked or one is asked twice."""
LOOK_AT = 1_000
"""Turns in the queue that one look for lapsed leases passes: more than a few replicas run, so that a dead one's turns
are all found by the first look after their leases lapsed."""


class Journal:
    """Every method raises UNAVAILABLE while Redis is away, and until `check` has passed once."""

    def __init__(self, servers: Servers, keys: Keys, config: Config) -> None:
        self._servers, self._keys, self._config = servers, keys, config
        self.shards = range(config.shards)
        self._check = Check(servers, keys, self.shards)
        self._lease = int(config.lease_seconds * 1000)
        self._renew = int(config.renew_seconds * 1000)
        self._ttl = config.journal_ttl_seconds * 1000
        self._looked: dict[int, bytes | str] = dict.fromkeys(self.shards, "0-0")
        """How far the last look for lapsed turns came."""
        self._enqueue, self._claim, self._append = Script("enqueue"), Script("claim"), Script("append")
        self._restore, self._finish, self._cancel = Script("restore"), Script("finish"), Script("cancel")
        self._read, self._lapsed, self._release = Script("read"), Script("lapsed"), Script("release")
        self._done = Script("done")

    def shard(self, conversation_id: str) -> int:
        return self._keys.shard(conversation_id)

    # -- the queue ---------------------------------------------------------------------------------------------------

    async def enqueue(self, turn: Turn, *, cancelled: bool = False) -> None:
        """Queues a turn unless the journal knows the reply. Raises UNAVAILABLE also where the queue is full."""
        keys = [self._keys.record(turn), self._keys.running(turn), self._keys.turns_of(turn)]
        values = [*to_entry(turn), int(cancelled), self._ttl, self._config.max_queued_turns]
        if await self._run(self._enqueue, self._shard_of(turn), keys, values) < 0:
            raise DomainError(Reason.UNAVAILABLE, "Too many replies are waiting.", retry_after=5)

    async def take(self, shard: int, count: int) -> list[Turn]:
        """Up to `count` turns that nobody took yet; waits a second for one."""
        words = ["GROUP", GROUP, RUNNER, "COUNT", count, "BLOCK", BLOCK_MILLISECONDS]
        async with self._reaching():
            try:
                found = await self._servers.call(shard, "XREADGROUP", *words, "STREAMS", self._keys.turns(shard), ">")
            except ResponseError as error:
                await self._make_group(shard, error)
                return []
        return from_entries([entry for _, entries in found or () for entry in entries])

    async def take_over(self, shard: int) -> list[Turn]:
        """Turns that were taken and not finished, and whose leases have lapsed. Each call looks a part further."""
        words = [self._keys.turns(shard), GROUP, RUNNER, self._renew // 2, self._looked[shard], "COUNT", LOOK_AT]
        async with self._reaching():
            try:
                found = await self._servers.call(shard, "XAUTOCLAIM", *words)
            except ResponseError as error:
                await self._make_group(shard, error)
                return []
        self._looked[shard] = found[0]
        turns = from_entries(found[1])
        if not turns:
            return []
        records = [self._keys.record(turn) for turn in turns]
        lapsed = await self._run(self._lapsed, shard, records, [self._lease])
        return [turn for turn, is_lapsed in zip(turns, lapsed, strict=True) if is_lapsed]

    async def release(self, draft: Draft) -> None:
        """Gives up a turn's lease, so that another runner takes it at once."""
        await self._run(self._release, self._shard_of(draft.turn), [self._keys.record(draft.turn)], [draft.epoch])

    async def done(self, turn: Turn) -> None:
        """Takes a turn out of the queue."""
        await self._run(self._done, self._shard_of(turn), [self._keys.turns_of(turn)], [GROUP, turn.entry_id])

    async def _make_group(self, shard: int, error: ResponseError) -> None:
        """Makes the group of runners, if the error says that there is none; else raises it."""
        if "NOGROUP" not in str(error):
            raise error
        try:
            await self._servers.call(shard, "XGROUP", "CREATE", self._keys.turns(shard), GROUP, "0", "MKSTREAM")
        except ResponseError as refused:
            if "BUSYGROUP" not in str(refused):
                raise

    # -- writing -----------------------------------------------------------------------------------------------------

    async def claim(self, turn: Turn) -> Claim | None:
        """Takes a turn under a new epoch, with what was written so far; None while another's lease is alive."""
        values = [turn.reply_id, turn.tenant_id, turn.account_id, self._lease, self._ttl]
        found = await self._run(self._claim, self._shard_of(turn), self._keys.of_draft(turn), values)
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
        outcomes = [Outcome(answer.decode()) for answer in await self._run(self._append, shard, keys, values)]
        for draft, outcome, end in zip(drafts, outcomes, ends, strict=True):
            if outcome in (Outcome.OK, Outcome.CANCEL):
                draft.written_tokens, draft.written_text, draft.written_queue_position = end
                draft.confirmed = True
        return outcomes

    async def restore(self, draft: Draft) -> None:
        """Makes a draft known again that the journal lost; its content is to be appended from the start."""
        turn = draft.turn
        keys = [*self._keys.of_draft(turn), self._keys.turns_of(turn)]
        values = [*to_entry(turn), draft.epoch, int(draft.cancelled.is_set()), self._lease, self._ttl]
        await self._run(self._restore, self._shard_of(turn), keys, values)
        draft.written_tokens = draft.written_text = 0

    async def finish(self, turn: Turn) -> None:
        """Says that a reply has ended; its result is stored in history."""
        values = [turn.reply_id, turn.turn_id, self._config.linger_seconds * 1000, self._keys.channel_of(turn)]
        keys = [*self._keys.of_draft(turn), self._keys.ended_in(turn.conversation_id)]
        await self._run(self._finish, self._shard_of(turn), keys, values)

    async def cancel(self, turn: Turn) -> None:
        """Asks whoever writes the reply to stop; if nobody does, whoever takes it will."""
        values = [turn.turn_id, self._keys.channel_of(turn)]
        if not await self._run(self._cancel, self._shard_of(turn), [self._keys.record(turn)], values):
            await self.enqueue(turn, cancelled=True)

    async def announce(self, change: Change) -> None:
        """Tells every process of a change, if Redis can be reached: whoever has lost it, too, learns that he missed
        something when he has it again."""
        shard = self.shard(change.conversation_id)
        with suppress(DomainError):
            async with self._reaching():
                await self._servers.call(shard, "PUBLISH", self._keys.channel(shard), announcement(change))

    async def forget(self, conversation_id: str) -> None:
        """Drops what there is of a conversation's replies. One that is still being written is written again."""
        shard, ended_in = self.shard(conversation_id), self._keys.ended_in(conversation_id)
        async with self._reaching():
            ended = await self._servers.call(shard, "ZRANGE", ended_in, 0, -1)
            reply_ids = {*await self.running(conversation_id), *(reply_id.decode() for reply_id in ended)}
            turns = [Turn(reply_id, conversation_id, "", "") for reply_id in reply_ids]
            keys = [key for turn in turns for key in (self._keys.text(turn), self._keys.tokens(turn))]
            await self._servers.call(shard, "DEL", ended_in, *keys)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def read(self, wanted: Sequence[tuple[Turn, int]]) -> list[Reading]:
        """Reads replies of one shard, each from an offset in bytes. One call for all."""
        keys = [key for turn, _ in wanted for key in (self._keys.record(turn), self._keys.text(turn))]
        values = [value for turn, offset in wanted for value in (offset, turn.tenant_id, turn.account_id)]
        return [
            Reading(status != b"", status == b"ended", int(queue) if queue else None, text)
            for status, queue, text in await self._run(self._read, self._shard_of(wanted[0][0]), keys, values)
        ]

    async def running(self, conversation_id: str) -> list[str]:
        """The replies of a conversation that are queued or being written."""
        async with self._reaching():
            members = await self._servers.call(
                self.shard(conversation_id), "SMEMBERS", self._keys.running_in(conversation_id)
            )
        return [cast("bytes", member).decode() for member in members]

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[News]]:
        """What happens to replies from now on. News may be lost: readers also look by themselves now and then."""
        if not self._check.passed:
            raise unavailable()
        async with listening(self._servers.listener(), [self._keys.channel(shard) for shard in self.shards]) as news:
            yield news

    async def check(self) -> None:
        """Raises UNAVAILABLE with what is wrong; RefusedError if that is so from the start and no waiting mends it."""
        await self._check.run()

    # -- reaching ----------------------------------------------------------------------------------------------------

    def _shard_of(self, turn: Turn) -> int:
        return self._keys.shard(turn.conversation_id)

    async def _run(self, script: Script, shard: int, keys: Sequence[str], values: Sequence[object]) -> Any:
        async with self._reaching():
            return await script.run(self._servers, shard, keys, values)

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        if not self._check.passed:
            raise unavailable()
        with as_unavailable():
            async with asyncio.timeout(CALL_SECONDS):
                yield


@asynccontextmanager
async def open_journal(config: Config) -> AsyncIterator[Journal]:
    """Nothing connects before the first check. Raises RefusedError where the settings make no sense."""
    if config.redis_cluster and config.shards == 1:
        log(logger, logging.WARNING, "one shard uses one node of the cluster; see PARLEY_SHARDS")
    keys = Keys(config.redis_prefix, config.shards)
    async with open_servers(config, keys) as servers:
        yield Journal(servers, keys, config)
