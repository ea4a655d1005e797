"""What the model is given: the branch above a reply, as much of it as the model's context holds."""

from collections.abc import AsyncIterator, Sequence

from parley.history.v1.history_service_pb2 import Message, ReplyRequest
from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.conversation.routing import Router

MAX_PROMPT_BYTES = 8 * 1024 * 1024 - 64 * 1024
"""What fits into one call."""
TEMPLATE_TOKENS = 256
"""Room for what a chat template says on its own, such as a default system prompt."""


async def messages_of(request: ReplyRequest, branch: AsyncIterator[Message]) -> list[pb.ChatMessage]:
    """The prompt of a stored request, oldest first. `branch` starts at the message that is answered and goes up."""
    messages: list[pb.ChatMessage] = []
    async for message in branch:
        if message.text:  # a reply that was stopped before its first token says nothing
            messages.append(pb.ChatMessage(role=message.role, text=message.text))
        if request.HasField("context_start_id") and message.message_id == request.context_start_id:
            break
    if request.system_prompt:
        messages.append(pb.ChatMessage(role=gen.ROLE_SYSTEM, text=request.system_prompt))
    return messages[::-1]


class Fit:
    """How much of a branch fits beside the reply: the oldest message that does, and the prompt's length."""

    def __init__(self, start_id: str | None, tokens: int) -> None:
        self.start_id, self.tokens = start_id, tokens


async def fit(
    router: Router, model: pb.Model, system_prompt: str, branch: AsyncIterator[Message], max_output_tokens: int
) -> Fit:
    """Leaves out the oldest turns of a long conversation, so that prompt and reply fit the model's context.

    `branch` starts at the newest message and goes up. A turn starts at a user's message; the newest one always stays.
    Raises CONTEXT_LENGTH_EXCEEDED with the numbers if even that one does not fit.
    """
    budget = model.context_length - max_output_tokens
    kept, whole = await _within_bytes(branch, budget, system_prompt)
    bound = TEMPLATE_TOKENS + sum(_bound(model, text) for text in [system_prompt, *(message.text for message in kept)])
    if whole and bound <= budget:
        return Fit(None, bound)  # no tokenizer needed: a token is at least a byte
    texts = [pb.ChatMessage(role=message.role, text=message.text) for message in reversed(kept) if message.text]
    if system_prompt:
        texts.insert(0, pb.ChatMessage(role=gen.ROLE_SYSTEM, text=system_prompt))
    counted = await router.count_tokens(pb.CountTokensRequest(model=model.model_id, chat=pb.ChatPrompt(messages=texts)))
    spoken = [message for message in reversed(kept) if message.text]
    counts = counted.message_token_counts[len(texts) - len(spoken) :]
    total = counted.token_count
    start = 0
    while total > budget and start < len(spoken) - 1:
        total -= counts[start]
        start += 1
        while start < len(spoken) - 1 and spoken[start].role != gen.ROLE_USER:
            total -= counts[start]
            start += 1
    if total > budget:
        raise _too_long(total, model, max_output_tokens)
    return Fit(None if whole and start == 0 else spoken[start].message_id, total)


async def _within_bytes(
    branch: AsyncIterator[Message], budget: int, system_prompt: str
) -> tuple[Sequence[Message], bool]:
    """The newest messages that could fit at all, and whether they are the whole branch. Bounds what is read."""
    kept: list[Message] = []
    # No tokenizer in use makes more than 32 bytes of text into one token, but for runs of white space.
    left = min(MAX_PROMPT_BYTES, 32 * max(budget, 1)) - len(system_prompt.encode())
    async for message in branch:
        left -= len(message.text.encode())
        if kept and left < 0:
            return kept, False
        kept.append(message)
    return kept, True


def _bound(model: pb.Model, text: str) -> int:
    return len(text.encode()) + model.template_tokens_per_message if text else 0


def _too_long(tokens: int, model: pb.Model, max_output_tokens: int) -> DomainError:
    return DomainError(
        Reason.CONTEXT_LENGTH_EXCEEDED,
        f"The message takes {tokens} tokens with its prompt; with {max_output_tokens} for the reply that is more than "
        f"the model's {model.context_length}.",
        metadata={
            "token_count": str(tokens),
            "max_output_tokens": str(max_output_tokens),
            "context_length": str(model.context_length),
        },
    )
