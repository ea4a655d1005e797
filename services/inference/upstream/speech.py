"""A generation with the upstream: asked for the rest of the reply until the reply has ended."""

import hashlib
import hmac
from dataclasses import dataclass

from services.chassis.errors import DomainError, Reason
from services.inference.engine import Delta, context_length_exceeded, engine_failed
from services.inference.generation import Generation
from services.inference.upstream.connection import Connection
from services.inference.upstream.dialect import LENGTH, STOP, Asked, Dialect, Json
from services.inference.upstream.piece import TextTokenizer
from services.inference.upstream.refusals import lost


@dataclass(frozen=True, slots=True)
class Listener:
    """What all generations with an upstream have in common."""

    connection: Connection
    dialect: Dialect
    tokenizer: TextTokenizer
    model: str
    context_length: int
    salt: bytes
    """Secret, and the same on every replica, so that they share the upstream's cache."""


@dataclass(slots=True)
class Speech:
    listener: Listener
    generation: Generation
    finish: str | None = None
    """Why the upstream ended, this time."""
    cached_prompt_tokens: int = 0

    async def follow(self) -> None:
        """Brings the reply to its end. Raises DomainError if it broke; the generation has then what came before."""
        reply = self.generation.reply
        while not reply.finish_reason:
            before, self.finish = len(reply.tokens), None
            await self._ask()
            if not reply.finish_reason:
                self._end(progressed=len(reply.tokens) > before)

    def _end(self, *, progressed: bool) -> None:
        """Takes the upstream's end of a stream that left the reply open."""
        reply = self.generation.reply
        if self.finish is None:
            raise lost("The upstream's stream ended before the reply did.")
        if self.finish == STOP:
            self._tell(reply.extend([min(self.listener.tokenizer.end_ids)]))
        elif self.finish != LENGTH or not progressed:
            raise engine_failed("The upstream ended the reply for a reason of its own.")
        # At the length by its count of tokens, which is not by ours: there is more to ask for.

    async def _ask(self) -> None:
        listener, generation = self.listener, self.generation
        try:
            await listener.connection.stream(listener.dialect.path, listener.dialect.body(self._asked()), self._take)
        except DomainError as error:
            if generation.reply.finish_reason:
                return
            if error.reason is not Reason.CONTEXT_LENGTH_EXCEEDED:
                raise
            limit = generation.parameters.max_output_tokens
            raise context_length_exceeded(len(generation.prompt), limit, listener.context_length) from None

    def _asked(self) -> Asked:
        generation, listener = self.generation, self.listener
        parameters, tokens = generation.parameters, tuple(generation.reply.tokens)
        prompt = (*generation.prompt, *tokens)
        return Asked(
            listener.model,
            prompt,
            "" if listener.dialect.takes_tokens else listener.tokenizer.spell(prompt),
            parameters.max_output_tokens - len(tokens),
            parameters.temperature,
            parameters.top_p,
            parameters.seed,
            hmac.digest(listener.salt, generation.tenant.encode(), hashlib.sha256).hex(),
        )

    def _take(self, event: Json) -> bool:
        """Takes an event, and says whether it is enough: the reply had ended, and this tells what was counted."""
        reply = self.generation.reply
        ended = reply.finish_reason is not None
        piece = self.listener.dialect.read(event)
        self.cached_prompt_tokens = max(self.cached_prompt_tokens, piece.cached_prompt_tokens)
        self.finish = piece.finish or self.finish
        if not ended and (tokens := piece.settle(self.listener.tokenizer)):
            self._tell(reply.extend(tokens))
        return ended

    def _tell(self, delta: Delta) -> None:
        self.generation.cached = self.generation.length
        self.generation.sink(delta)
