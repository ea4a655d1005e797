"""The story of a turn: from a claimed request row to a stored, settled reply.

Whoever tells it may die at any line; whoever claims the turn next tells it again from the first line, with the tokens
that the journal has. If a service was only away, the same runner tells it again from what it has. A reply is a
deterministic function of its request row, so nobody can tell the difference.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from parley.history.v1 import history_service_pb2 as history_pb
from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.chassis.telemetry import log
from services.conversation.config import Config
from services.conversation.draft import Claim, Draft
from services.conversation.hub import Hub
from services.conversation.journal import Journal
from services.conversation.peers import Peers
from services.conversation.prompt import messages_of
from services.conversation.routing import Generation, ReplicaLostError, Router
from services.conversation.title import give_title
from services.conversation.writer import Writer

logger = logging.getLogger(__name__)

CANCEL_SECONDS = 8.0
"""How long an engine may take to stop."""
SETTLING = 16
"""Replies that have ended and are settled at once: where many end together, their readers come first."""
HEARD = 0.9
"""A generation is taken for silent after between this part of its time and all of it: a timer is not set anew for
every token."""

_TRANSIENT = {Reason.ENGINE_OVERLOADED, Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED}


class TurnLostError(Exception):
    """Another runner has the turn."""


@dataclass(frozen=True, slots=True)
class Story:
    """Tells turns."""

    journal: Journal
    writer: Writer
    router: Router
    peers: Peers
    hub: Hub
    config: Config
    settling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SETTLING))

    async def tell(self, claim: Claim) -> None:
        """Brings a claimed turn to its end, as the account that it is for.

        Raises DomainError if a service was away; it is then told again, with the same claim. Raises TurnLostError.
        """
        draft, turn = claim.draft, claim.draft.turn
        branch = self.peers.history.branch(turn.conversation_id, turn.reply_id)
        try:
            reply = await anext(branch)
        except DomainError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            await self._forget(draft)  # its conversation was deleted
            return
        if not reply.HasField("result"):
            if draft.result is None:
                draft.result = await self._write(claim, reply, branch)
            await self._require_ours(draft)
            reply = await self.peers.history.complete(reply, draft.result)
        await self.journal.finish(turn)
        self.hub.end(turn, reply)
        await self.journal.announce(turn.change(turn.reply_id))
        async with self.settling:
            await self._settle(turn.turn_id, reply.result.usage)
        if await give_title(reply, self.peers, self.router):
            await self.journal.announce(turn.change(itself=True))
        await self.journal.done(turn)

    async def give_up(self, draft: Draft, reason: Reason) -> None:
        """Ends a turn that cannot be told, whatever of its end can be reached: FAILED, with the reason."""
        turn = draft.turn
        log(logger, logging.ERROR, "turn given up", reply_id=turn.reply_id, reason=reason)
        reply = history_pb.Message(conversation_id=turn.conversation_id, message_id=turn.reply_id)
        failed = history_pb.ReplyResult(
            status=history_pb.MESSAGE_STATUS_FAILED, finish_reason=gen.FINISH_REASON_ERROR, failure_reason=reason
        )
        with suppress(DomainError):
            await self.peers.history.complete(reply, failed)
        with suppress(DomainError):
            await self.peers.ledger.release(turn.turn_id)
        await self.journal.finish(turn)
        await self.journal.announce(turn.change(turn.reply_id))
        await self.journal.done(turn)

    async def _write(
        self, claim: Claim, reply: history_pb.Message, branch: AsyncIterator[history_pb.Message]
    ) -> history_pb.ReplyResult:
        draft = claim.draft
        if claim.claims > self.config.max_claims:
            return _result(draft, failure=Reason.ENGINE_FAILED)
        messages = await messages_of(reply.request, branch)
        try:
            return _result(draft, await self._generate(draft, reply.request, messages))
        except DomainError as error:
            log(logger, logging.WARNING, "reply failed", reply_id=reply.message_id, reason=error.reason)
            return _result(draft, failure=error.reason)

    async def _require_ours(self, draft: Draft) -> None:
        """Nobody may see more in a result than the journal was allowed to say, and only by whose turn it is."""
        await self.writer.flush(draft)
        if draft.lost.is_set():
            raise TurnLostError

    async def _generate(
        self, draft: Draft, request: history_pb.ReplyRequest, messages: list[pb.ChatMessage]
    ) -> pb.GenerationEnd:
        """Generates on one engine after the other, each from the tokens there are, until one brings the end."""
        deadline, attempt, lost = time.monotonic() + self.config.stall_seconds, 0, 0
        while not draft.cancelled.is_set():
            attempt += 1
            known, generation = len(draft.tokens), None
            start = _start(draft, request, messages, attempt)
            try:
                async with self.router.generate(start, draft.turn.conversation_id) as generation:
                    return await self._follow(draft, generation)
            except ReplicaLostError:
                # Who only waits for a place on an engine has no part in its death.
                lost += generation is not None and draft.queue_position is None
                failure = DomainError(Reason.UNAVAILABLE, "No engine finished the reply.")
            except DomainError as error:
                if error.reason not in _TRANSIENT:
                    raise
                failure = error
            draft.queue_position = None
            if len(draft.tokens) > known:
                deadline, lost = time.monotonic() + self.config.stall_seconds, 0
            if lost >= self.config.max_claims:
                # Whatever it is about this reply, no more engines shall die of it.
                raise DomainError(Reason.ENGINE_FAILED, "Engine after engine was lost over the reply.")
            if time.monotonic() > deadline:
                raise failure
            await asyncio.sleep(self.router.opens_in(start))
        usage = gen.TokenUsage(completion_tokens=draft.token_count)
        return pb.GenerationEnd(finish_reason=gen.FINISH_REASON_CANCELLED, usage=usage)

    async def _follow(self, draft: Draft, generation: Generation) -> pb.GenerationEnd:
        """Takes down what one engine brings."""
        stopping = asyncio.create_task(_cancel_when(draft.cancelled, generation))
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.config.stall_seconds) as stall:
                async for event in generation.events():
                    until = loop.time() + self.config.stall_seconds
                    if until - (stall.when() or 0) > (1 - HEARD) * self.config.stall_seconds:
                        stall.reschedule(until)
                    if event.HasField("end"):
                        return event.end
                    if event.HasField("queued"):
                        draft.queue_position = event.queued.queue_position
                    else:
                        _take(draft, event.delta)
                    self.writer.changed(draft)
        except TimeoutError:
            log(logger, logging.WARNING, "generation fell silent", reply_id=draft.turn.reply_id)
        finally:
            stopping.cancel()
        raise ReplicaLostError

    async def _settle(self, turn_id: str, usage: gen.TokenUsage) -> None:
        if usage.prompt_tokens or usage.completion_tokens:
            await self.peers.ledger.settle(turn_id, usage)
        else:
            await self.peers.ledger.release(turn_id)

    async def _forget(self, draft: Draft) -> None:
        await self._settle(draft.turn.turn_id, gen.TokenUsage(completion_tokens=draft.token_count))
        await self.journal.finish(draft.turn)
        await self.journal.done(draft.turn)


async def _cancel_when(cancelled: asyncio.Event, generation: Generation) -> None:
    await cancelled.wait()
    generation.cancel()
    await asyncio.sleep(CANCEL_SECONDS)
    generation.lose()  # the engine does not even say that it stopped


def _start(
    draft: Draft, request: history_pb.ReplyRequest, messages: list[pb.ChatMessage], attempt: int
) -> pb.GenerateRequest:
    turn = draft.turn
    return pb.GenerateRequest(
        generation_id=f"{turn.reply_id}/{draft.epoch}/{attempt}",
        model=request.model,
        chat=pb.ChatPrompt(messages=messages),
        parameters=request.parameters,
        emitted_token_ids=draft.token_ids,
        owner=pb.GenerationOwner(tenant_id=turn.tenant_id, account_id=turn.account_id),
    )


def _take(draft: Draft, delta: pb.GenerationDelta) -> None:
    if (delta.token_offset, delta.text_offset) != (draft.token_count, len(draft.text)):
        raise DomainError(Reason.ENGINE_FAILED, "The engine did not continue where the reply was.")
    draft.queue_position = None
    draft.add(delta.token_ids, delta.text)


def _result(draft: Draft, end: pb.GenerationEnd | None = None, failure: Reason | None = None) -> history_pb.ReplyResult:
    if end is None:
        return history_pb.ReplyResult(
            status=history_pb.MESSAGE_STATUS_FAILED,
            text=draft.text.decode(),
            finish_reason=gen.FINISH_REASON_ERROR,
            usage=gen.TokenUsage(completion_tokens=draft.token_count),
            failure_reason=failure or "",
        )
    cancelled = end.finish_reason == gen.FINISH_REASON_CANCELLED
    return history_pb.ReplyResult(
        status=history_pb.MESSAGE_STATUS_CANCELLED if cancelled else history_pb.MESSAGE_STATUS_COMPLETED,
        text=draft.text.decode(),
        finish_reason=end.finish_reason,
        usage=end.usage,
    )
