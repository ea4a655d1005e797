"""Sending: everything is checked, then reserved, then stored, and only then queued."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from parley.conversation.v1 import conversation_service_pb2 as pb
from parley.history.v1 import history_service_pb2 as history_pb
from parley.inference.v1 import generation_pb2 as gen
from parley.metadata.v1.metadata_service_pb2 import Conversation
from services.chassis.errors import DomainError, Reason, not_found
from services.chassis.identity import caller
from services.conversation import asking
from services.conversation.config import Config
from services.conversation.draft import Turn
from services.conversation.journal import Journal
from services.conversation.peers import Peers
from services.conversation.prompt import fit
from services.conversation.routing import Router

SHOW_ATTEMPTS = 10
"""How often the current leaf is tried to be set while others change the same conversation."""


@dataclass(frozen=True, slots=True)
class Sender:
    peers: Peers
    router: Router
    journal: Journal
    config: Config

    async def send(self, request: pb.SendMessageRequest) -> pb.SendMessageResponse:
        # The conversation is read before the message: a repeated call then finds either what the first one found, or
        # the message that the first one wrote.
        conversation = await self.peers.metadata.conversation(request.conversation_id)
        followed = request.parent_id or conversation.current_leaf_id
        known = await self.peers.history.find_all(
            request.conversation_id, request.message_id, request.reply_id, followed
        )
        question, reply = known.get(request.message_id), known.get(request.reply_id)
        if question is None:
            if reply:
                raise asking.conflict(request.reply_id)
            parent_id = await asking.parent_of(request, followed, known.get(followed), self.peers.history)
            question = asking.user_row(request, parent_id)
        else:
            asking.require_same_message(request, question)
            if reply:
                asking.require_same_reply(reply, question, request.model, request.parameters)
                if conversation.current_leaf_id in ("", question.parent_id):
                    await self._show(reply, conversation)  # the first call died before it did
                await self._queue_unless_ended(reply)
                await self._announce(question, reply)
                return pb.SendMessageResponse(user_message=question, reply=reply)
        asked = await self._ask(conversation, question, request.reply_id, request.model, request.parameters)
        try:
            question, answer = await self.peers.history.create(
                question, asking.reply_row(question, request.reply_id, asked)
            )
        except DomainError as error:
            if error.reason is Reason.MESSAGE_CONFLICT:
                await self._give_back(request.conversation_id, request.reply_id)
            raise
        await self._start(answer, conversation)
        await self._announce(question, answer)
        return pb.SendMessageResponse(user_message=question, reply=answer)

    async def regenerate(self, request: pb.RegenerateReplyRequest) -> history_pb.Message:
        conversation = await self.peers.metadata.conversation(request.conversation_id)
        earlier = await self.peers.history.find(request.conversation_id, request.message_id)
        if earlier is None or not earlier.HasField("request"):
            raise not_found("reply")
        known = await self.peers.history.find_all(request.conversation_id, earlier.parent_id, request.reply_id)
        question, reply = known.get(earlier.parent_id), known.get(request.reply_id)
        if question is None:
            raise not_found("message")
        model = request.model or earlier.request.model
        given = asking.changed_parameters(earlier.request.parameters, request.parameters)
        if reply:
            asking.require_same_reply(reply, question, model, given)
            if conversation.current_leaf_id == earlier.message_id:
                await self._show(reply, conversation)
            await self._queue_unless_ended(reply)
            await self._announce(reply)
            return reply
        asked = await self._ask(conversation, question, request.reply_id, model, given)
        [reply] = await self.peers.history.create(asking.reply_row(question, request.reply_id, asked))
        await self._start(reply, conversation)
        await self._announce(reply)
        return reply

    async def _ask(
        self,
        conversation: Conversation,
        question: history_pb.Message,
        reply_id: str,
        model_id: str,
        given: gen.GenerationParameters,
    ) -> history_pb.ReplyRequest:
        """All that will decide the reply, with as much of the branch as fits; what it may take is reserved."""
        model = await self.router.model(model_id or conversation.model)
        parameters = asking.whole_parameters(given, self.config, model.context_length, reply_id)
        fitted = await fit(
            self.router, model, conversation.system_prompt, self._upward(question), parameters.max_output_tokens
        )
        turn = _turn(question.conversation_id, reply_id)
        await self._reserve(turn, model.model_id, fitted.tokens + parameters.max_output_tokens)
        return history_pb.ReplyRequest(
            model=model.model_id,
            parameters=parameters,
            system_prompt=conversation.system_prompt,
            context_start_id=fitted.start_id,
        )

    async def _reserve(self, turn: Turn, model: str, tokens: int) -> None:
        try:
            await self.peers.ledger.reserve(turn.turn_id, model, tokens)
        except DomainError as error:
            if error.reason is not Reason.RESERVATION_CONFLICT:
                raise
            # An earlier call reserved for this reply, died before it stored it, and found other things to reserve for.
            await self.peers.ledger.release(turn.turn_id)
            await self.peers.ledger.reserve(turn.turn_id, model, tokens)

    async def _start(self, reply: history_pb.Message, seen: Conversation) -> None:
        try:
            await self._show(reply, seen)
        except DomainError as error:
            if error.reason is Reason.NOT_FOUND:  # deleted meanwhile: nothing may stay
                await self.peers.history.delete(reply.conversation_id)
                await self.peers.ledger.release(_turn(reply.conversation_id, reply.message_id).turn_id)
            raise
        await self._queue_unless_ended(reply)

    async def _show(self, reply: history_pb.Message, seen: Conversation) -> None:
        """Makes the reply the current leaf, unless another was chosen since the conversation was seen: of two devices
        that send at once the first is shown, and a call that comes late takes nobody away from where he is."""
        shown = Conversation(conversation_id=reply.conversation_id, current_leaf_id=reply.message_id, etag=seen.etag)
        for _ in range(SHOW_ATTEMPTS):
            try:
                await self.peers.metadata.update(shown, "current_leaf_id")
            except DomainError as error:
                if error.reason is not Reason.ETAG_MISMATCH:
                    raise
            else:
                return
            now = await self.peers.metadata.conversation(reply.conversation_id)
            if now.current_leaf_id != seen.current_leaf_id:
                return
            shown.etag = now.etag  # something else changed, such as its name
        raise DomainError(Reason.UNAVAILABLE, "Too many write this conversation at once.", retry_after=1)

    async def _announce(self, *messages: history_pb.Message) -> None:
        reply = messages[-1]
        change = _turn(reply.conversation_id, reply.message_id).change(
            *(each.message_id for each in messages), itself=True
        )
        await self.journal.announce(change)

    async def _queue_unless_ended(self, reply: history_pb.Message) -> None:
        """Raises UNAVAILABLE if the journal is away or full: the rows are stored, and the call can be repeated."""
        if not reply.HasField("result"):
            await self.journal.enqueue(_turn(reply.conversation_id, reply.message_id))

    async def _upward(self, question: history_pb.Message) -> AsyncIterator[history_pb.Message]:
        yield question
        if question.HasField("parent_id"):
            async for message in self.peers.history.branch(question.conversation_id, question.parent_id):
                yield message

    async def _give_back(self, conversation_id: str, reply_id: str) -> None:
        """Releases what was reserved for a reply that was refused, unless the id is that of a reply which is there."""
        if await self.peers.history.find(conversation_id, reply_id) is None:
            await self.peers.ledger.release(_turn(conversation_id, reply_id).turn_id)


def _turn(conversation_id: str, reply_id: str) -> Turn:
    who = caller()
    return Turn(reply_id, conversation_id, who.tenant_id, who.require_account())
