"""A generation: a request that was found possible, and how far it has come."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.chassis.errors import DomainError
from services.inference.detokenizer import Vocabulary
from services.inference.draw import Draw
from services.inference.engine import (
    ChatMessage,
    End,
    FinishReason,
    Parameters,
    Priority,
    Request,
    Sink,
    context_length_exceeded,
    engine_failed,
    invalid,
)
from services.inference.grammar import Grammar, too_complex
from services.inference.reply import Reply


@dataclass(frozen=True, slots=True)
class EncodedChat:
    tokens: tuple[int, ...]
    message_tokens: tuple[int, ...]
    """How many of them each message brought."""


class Tokenizer(Protocol):
    """Between a model's tokens and text."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def end_ids(self) -> Collection[int]:
        """The tokens by which the model ends its turn."""

    def encode(self, messages: Sequence[ChatMessage]) -> EncodedChat:
        """A chat prompt with the assistant's turn opened. Raises INVALID_ARGUMENT if the model knows no such chat."""


@dataclass(slots=True, eq=False)
class Generation:
    prompt: tuple[int, ...]
    reply: Reply
    parameters: Parameters
    sink: Sink
    tenant: str = ""
    priority: Priority = Priority.INTERACTIVE
    blocks: list[int] = field(default_factory=list)
    """Its block table: token p is in block blocks[p // BLOCK_TOKENS] at place p % BLOCK_TOKENS."""
    cached: int = 0
    """Tokens, of the prompt and then the reply, that the key-value cache holds."""
    queue_position: int | None = None
    """As it was last told."""
    pending: int = 0
    """Tokens that would have to be computed, as of when it began to wait."""
    owed: int = 0
    """Tokens that it came with, that must be computed and that its tenant was not charged for yet."""
    cached_prompt_tokens: int = 0
    """Tokens of the prompt that the cache had when it first joined the batch."""
    joined: float = 0
    """When it joined the batch, in the time of `time.monotonic`."""
    preempted: bool = False
    """It ran before, and had to make room."""
    keys: list[bytes] = field(default_factory=list)
    """The names of its full blocks, as far as they were asked for."""

    @property
    def length(self) -> int:
        """Tokens of the prompt and of the reply so far."""
        return len(self.prompt) + len(self.reply.tokens)

    @property
    def cache_size(self) -> int:
        """The most tokens that the key-value cache must hold for it: all but the last, which is never read again."""
        return len(self.prompt) + self.parameters.max_output_tokens - 1

    def tokens(self, start: int, stop: int) -> list[int]:
        """The tokens from `start` to before `stop`, counted from the beginning of the prompt."""
        border = len(self.prompt)
        prompt = self.prompt[start:stop] if start < border else ()
        return [*prompt, *self.reply.tokens[max(0, start - border) : max(0, stop - border)]]

    def draw(self) -> Draw:
        """How its next token is drawn."""
        parameters = self.parameters
        return Draw(
            parameters.temperature,
            parameters.top_p,
            parameters.seed,
            position=len(self.reply.tokens),
            mask=self.reply.mask(),
            top_logprobs=parameters.top_logprobs,
        )

    def undrawn(self) -> DomainError:
        """Why no next token could be drawn."""
        if self.reply.strayed:
            return too_complex()
        return engine_failed("The model brought numbers that are no distribution.")

    def end(self, reason: FinishReason) -> End:
        return End(reason, len(self.prompt), len(self.reply.tokens), self.cached_prompt_tokens)


def prepare(
    request: Request, tokenizer: Tokenizer, context_length: int, sink: Sink, grammar: Grammar | None = None
) -> Generation:
    """Checks a request against its model and replays the tokens that were emitted. Raises what `Engine.start` does.

    `grammar` is that of its json_schema.
    """
    parameters = request.parameters
    if not 1 <= parameters.max_output_tokens <= context_length:
        raise invalid("parameters.max_output_tokens", f"must be from 1 to {context_length}")
    prompt = _prompt(request.prompt, tokenizer)
    if len(prompt) + parameters.max_output_tokens > context_length:
        raise context_length_exceeded(len(prompt), parameters.max_output_tokens, context_length)
    reply = Reply(tokenizer.vocabulary, tokenizer.end_ids, parameters, grammar)
    reply.extend(_known(request.emitted, "emitted_token_ids", tokenizer))
    if len(reply.tokens) < len(request.emitted):
        raise invalid("emitted_token_ids", "must not go on after the end of the reply")
    if reply.strayed:
        raise invalid("emitted_token_ids", "must follow parameters.json_schema")
    return Generation(prompt, reply, parameters, sink, request.tenant, request.priority)


def _prompt(prompt: tuple[ChatMessage, ...] | tuple[int, ...], tokenizer: Tokenizer) -> tuple[int, ...]:
    messages = tuple(part for part in prompt if isinstance(part, ChatMessage))
    if messages:
        return tokenizer.encode(messages).tokens
    ids = tuple(part for part in prompt if isinstance(part, int))
    if not ids:
        raise invalid("prompt", "must not be empty")
    return _known(ids, "tokens.token_ids", tokenizer)


def _known(ids: tuple[int, ...], name: str, tokenizer: Tokenizer) -> tuple[int, ...]:
    size = len(tokenizer.vocabulary)
    if any(not 0 <= token < size for token in ids):
        raise invalid(name, f"must be token ids of the model, from 0 to {size - 1}")
    return ids
