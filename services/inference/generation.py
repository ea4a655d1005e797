"""A generation: a request that was found possible, and how far it has come."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.inference.detokenizer import Vocabulary
from services.inference.engine import (
    ChatMessage,
    End,
    FinishReason,
    Parameters,
    Request,
    Sink,
    context_length_exceeded,
    invalid,
)
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
    cached: int = 0
    """Tokens, of the prompt and then the reply, that the key-value cache holds."""
    cache_start: int = 0
    """Where its share of the key-value cache begins."""
    queue_position: int | None = None
    """As it was last told."""

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

    def end(self, reason: FinishReason) -> End:
        return End(reason, len(self.prompt), len(self.reply.tokens))


def prepare(request: Request, tokenizer: Tokenizer, context_length: int, sink: Sink) -> Generation:
    """Checks a request against its model and replays the tokens that were emitted. Raises what `Engine.start` does."""
    parameters = request.parameters
    if not 1 <= parameters.max_output_tokens <= context_length:
        raise invalid("parameters.max_output_tokens", f"must be from 1 to {context_length}")
    prompt = _prompt(request.prompt, tokenizer)
    if len(prompt) + parameters.max_output_tokens > context_length:
        raise context_length_exceeded(len(prompt), parameters.max_output_tokens, context_length)
    reply = Reply(tokenizer.vocabulary, tokenizer.end_ids, parameters)
    reply.extend(_known(request.emitted, "emitted_token_ids", tokenizer))
    if len(reply.tokens) < len(request.emitted):
        raise invalid("emitted_token_ids", "must not go on after the end of the reply")
    return Generation(prompt, reply, parameters, sink)


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
