"""The story of a turn: from a claimed request row to a stored, settled reply.

Whoever tells it may die at any line; whoever claims the turn next tells it again from the first line, with the tokens
that the journal has. A reply is a deterministic function of its request row, so nobody can tell the difference.
"""

import asyncio
import logging
import time
from dataclasses import dataclass

from parley.history.v1 import history_service_pb2 as history_pb
from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.chassis.telemetry import log
from services.conversation.config import Config
from services.conversation.draft import Draft
from services.conversation.journal import Claim, Journal
from services.conversation.peers import Peers
from services.conversation.prompt import messages_of
from services.conversation.replica import Generation, ReplicaLostError
from services.conversation.router import Router
from services.conversation.title import give_title
from services.conversation.writer import Writer

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.25
"""Between two attempts to find an engine that takes the reply."""

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
    config: Config

    async def tell(self, claim: Claim) -> None:
        """Brings a claimed turn to its end, as the account that it is for. Raises DomainError if a service was away."""
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
            messages = await messages_of(reply.request, branch)
            result = await self._write(claim, reply, messages)
            reply = await self.peers.history.complete(reply, result)
        await self.journal.finish(turn)
        await self._settle(reply)
        await give_title(reply, self.peers, self.router)
        await self.journal.done(turn)

    async def _write(
        self, claim: Claim, reply: history_pb.Message, messages: list[pb.ChatMessage]
    ) -> history_pb.ReplyResult:
        draft = claim.draft
        if claim.claims > self.config.max_claims:
            log(logger, logging.ERROR, "turn given up", reply_id=reply.message_id, claims=claim.claims)
            return _result(draft, failure=Reason.ENGINE_FAILED)
        try:
            end = await self._generate(draft, reply.request, messages)
        except DomainError as error:
            log(logger, logging.WARNING, "reply failed", reply_id=reply.message_id, reason=error.reason)
            return _result(draft, failure=error.reason)
        await self.writer.flush(draft)  # nobody may see more in the result than the journal was allowed to say
        if draft.lost.is_set():
            raise TurnLostError
        return _result(draft, end)

    async def _generate(
        self, draft: Draft, request: history_pb.ReplyRequest, messages: list[pb.ChatMessage]
    ) -> pb.GenerationEnd:
        """Generates on one engine after the other, each from the tokens there are, until one brings the end."""
        deadline, attempt = time.monotonic() + self.config.stall_seconds, 0
        while not draft.cancelled.is_set():
            attempt += 1
            known = len(draft.tokens)
            start = _start(draft, request, messages, attempt)
            try:
                async with self.router.generate(start) as generation:
                    return await self._follow(draft, generation)
            except ReplicaLostError:
                failure = DomainError(Reason.UNAVAILABLE, "No engine finished the reply.")
            except DomainError as error:
                if error.reason not in _TRANSIENT:
                    raise
                failure = error
            draft.queue_position = None
            if len(draft.tokens) > known:
                deadline = time.monotonic() + self.config.stall_seconds
            if time.monotonic() > deadline:
                raise failure
            await asyncio.sleep(failure.retry_after or RETRY_SECONDS)
        usage = gen.TokenUsage(completion_tokens=draft.token_count)
        return pb.GenerationEnd(finish_reason=gen.FINISH_REASON_CANCELLED, usage=usage)

    async def _follow(self, draft: Draft, generation: Generation) -> pb.GenerationEnd:
        """Takes down what one engine brings."""
        stopping = asyncio.create_task(_cancel_when(draft.cancelled, generation))
        try:
            async for event in generation.events():
                if event.HasField("end"):
                    return event.end
                if event.HasField("queued"):
                    draft.queue_position = event.queued.queue_position
                else:
                    _take(draft, event.delta)
                self.writer.changed(draft)
        finally:
            stopping.cancel()
        raise ReplicaLostError

    async def _settle(self, reply: history_pb.Message) -> None:
        usage = reply.result.usage
        if usage.prompt_tokens or usage.completion_tokens:
            await self.peers.ledger.settle(reply.message_id, usage)
        else:
            await self.peers.ledger.release(reply.message_id)

    async def _forget(self, draft: Draft) -> None:
        usage = gen.TokenUsage(completion_tokens=draft.token_count)
        if usage.completion_tokens:
            await self.peers.ledger.settle(draft.turn.reply_id, usage)
        else:
            await self.peers.ledger.release(draft.turn.reply_id)
        await self.journal.finish(draft.turn)
        await self.journal.done(draft.turn)


async def _cancel_when(cancelled: asyncio.Event, generation: Generation) -> None:
    await cancelled.wait()
    generation.cancel()


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
