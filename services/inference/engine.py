"""What an engine does, and what every engine promises.

A reply is a function of its request alone: of the prompt, the parameters and the tokens that were emitted before. Other
replies that run beside it, the replica and the time change nothing but how fast it comes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from services.chassis.errors import DomainError, Reason


class Role(StrEnum):
    """Who speaks, by the names that chat templates know."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


class Priority(IntEnum):
    """Whose turn it is where not all can run; the lower goes first."""

    INTERACTIVE = 0
    BATCH = 1
    """Nobody waits for it: it yields to every interactive one."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Parameters:
    temperature: float
    """0 is greedy."""
    top_p: float
    max_output_tokens: int
    stop: tuple[str, ...]
    seed: int
    json_schema: str = ""
    """What the text conforms to once it ends with STOP; empty for free text."""
    top_logprobs: int | None = None
    """For each token its log probability, and those of so many of the likeliest; None: not asked for."""


@dataclass(frozen=True, slots=True)
class Request:
    model: str
    prompt: tuple[ChatMessage, ...] | tuple[int, ...]
    """Messages, or token ids that are used as they are."""
    parameters: Parameters
    emitted: tuple[int, ...] = ()
    """Tokens of this reply that were emitted before."""
    tenant: str = ""
    """Whose it is: tenants share the engine fairly, and none finds what another left in the cache."""
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True)
class Queued:
    """The generation waits."""

    position: int
    """0 is next."""
    expected_wait: float = 0
    """Seconds until its first token, as far as can be told."""


@dataclass(frozen=True, slots=True)
class Logprobs:
    """How likely the tokens of one place were: natural logarithms at temperature 1, before top_p and any schema."""

    token: int
    """The one that was drawn."""
    logprob: float
    top: tuple[tuple[int, float], ...]
    """The likeliest first; of those as likely, the lower token."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Tokens and the text that they released, at their places in the reply."""

    token_offset: int
    token_ids: tuple[int, ...]
    text_offset: int
    """In bytes of UTF-8."""
    text: str
    logprobs: tuple[Logprobs, ...] = ()
    """One for each token, if they were asked for."""


@dataclass(frozen=True, slots=True)
class End:
    """The generation's last event, if it did not fail."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    """Emitted ones included."""
    cached_prompt_tokens: int = 0
    """Of the prompt's, those that were not computed because the cache still had them."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The generation's last event, if it broke."""

    error: DomainError


Event = Queued | Delta | End | Failed

Sink = Callable[[Event], None]
"""Takes a generation's events, in order, on the event loop; it neither blocks nor raises."""

Cancel = Callable[[], None]
"""Ends a generation early; once it has ended, does nothing."""


@dataclass(frozen=True, slots=True)
class Model:
    model_id: str
    display_name: str
    context_length: int
    """Tokens of prompt and reply together; 0 until the model is known."""
    template_tokens_per_message: int
    """With one token for each byte of text, it bounds a prompt's length."""
    ready: bool


@dataclass(frozen=True, slots=True)
class Load:
    running: int
    waiting: int
    slots: int
    cached_tokens: int
    """In blocks that generations hold. What is kept beside them for later prompts makes room at once."""
    cached_tokens_limit: int
    pending_prompt_tokens: int = 0
    """That wait to be computed, those of generations in the batch included."""
    pending_prompt_tokens_limit: int = 0
    expected_wait: float = 0
    """Seconds until the first token of one that is started now, as far as can be told."""
    draining: bool = False
    """It finishes what it has, and should be given nothing new."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    total: int
    """The whole prompt, the opened assistant's turn included."""
    messages: tuple[int, ...]
    """Each message with its share of the template."""
    context_length: int


class Engine(Protocol):
    """Runs language models on one event loop."""

    async def run(self) -> None:
        """Loads the models and runs what is started, until it is cancelled; what runs then fails.

        Raises ModelUnusableError.
        """

    async def wait_ready(self) -> None:
        """Returns once the models are loaded and warm."""

    async def check(self) -> None:
        """Raises UNAVAILABLE while generations cannot run."""

    def models(self) -> Sequence[Model]:
        """In the order of the configuration; the first is the default."""

    def load(self) -> Load:
        """How busy the engine is, as of the events that were delivered."""

    def stalled_seconds(self) -> float:
        """How long the step that runs has taken so far; 0 while there is none here."""

    async def count(self, model: str, messages: Sequence[ChatMessage]) -> TokenCount:
        """Counts a prompt as `start` would see it. Raises MODEL_NOT_FOUND, INVALID_ARGUMENT, ENGINE_OVERLOADED."""

    async def start(self, request: Request, sink: Sink) -> Cancel:
        """Starts a generation, or lets it wait its turn; it joins the batch at the next step that has room.

        `sink` gets deltas that begin where `request.emitted` and the text which those released end, and last an End or
        a Failed; nothing before `start` returned. A cancelled generation ends with CANCELLED, and has left its slot and
        its cache when that event comes: at the latest before the step after the one that runs.

        Raises MODEL_NOT_FOUND, INVALID_ARGUMENT, CONTEXT_LENGTH_EXCEEDED, ENGINE_OVERLOADED or ENGINE_FAILED, and then
        has started nothing.
        """


class ModelUnusableError(Exception):
    """A model cannot be served as it is. The message names what is wrong with it."""


def model_not_found(model: str) -> DomainError:
    return DomainError(Reason.MODEL_NOT_FOUND, "There is no such model.", metadata={"model": model})


def invalid(name: str, description: str) -> DomainError:
    """The answer to a request whose field `name` is wrong."""
    return DomainError(
        Reason.INVALID_ARGUMENT,
        f"The request is not valid. {name}: {description}",
        fields={name: description},
    )


def context_length_exceeded(token_count: int, max_output_tokens: int, context_length: int) -> DomainError:
    numbers = {
        "token_count": token_count,
        "max_output_tokens": max_output_tokens,
        "context_length": context_length,
    }
    return DomainError(
        Reason.CONTEXT_LENGTH_EXCEEDED,
        f"The prompt has {token_count} tokens and asks for up to {max_output_tokens} more; "
        f"the model's context holds {context_length}.",
        metadata={name: str(number) for name, number in numbers.items()},
    )


def overloaded(message: str, retry_after: float) -> DomainError:
    return DomainError(Reason.ENGINE_OVERLOADED, message, retry_after=retry_after)


def engine_failed(message: str) -> DomainError:
    return DomainError(Reason.ENGINE_FAILED, message)
