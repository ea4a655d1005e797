"""How much of a branch a prompt holds."""

from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.history.v1.history_service_pb2 import Message, ReplyRequest
from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.conversation.prompt import Fit, fit, messages_of
from services.conversation.routing import Router

TEMPLATE = 5
MODEL = pb.Model(model_id="m", context_length=1000, template_tokens_per_message=TEMPLATE)


class WordCounter:
    """Counts a token for each word and some for the template, as an engine would."""

    def __init__(self) -> None:
        self.asked = 0

    async def count_tokens(self, request: pb.CountTokensRequest) -> pb.CountTokensResponse:
        self.asked += 1
        counts = [len(message.text.split()) + TEMPLATE for message in request.chat.messages]
        return pb.CountTokensResponse(token_count=sum(counts) + 2, message_token_counts=counts, context_length=1000)


def conversation(words: Sequence[int]) -> list[Message]:
    """A branch of user's and assistant's messages in turn, oldest first, so many words each."""
    roles = (gen.ROLE_USER, gen.ROLE_ASSISTANT)
    return [Message(message_id=new_id(), role=roles[n % 2], text="words " * count) for n, count in enumerate(words)]


async def upward(messages: Sequence[Message]) -> AsyncIterator[Message]:
    for message in reversed(messages):
        yield message


async def fitted(messages: Sequence[Message], output: int = 200, system: str = "") -> tuple[Fit, WordCounter]:
    counter = WordCounter()
    return await fit(cast("Router", counter), MODEL, system, upward(messages), output), counter


async def test_a_short_branch_needs_no_tokenizer() -> None:
    found, counter = await fitted(conversation([3, 3, 3]))
    assert (found.start_id, counter.asked) == (None, 0)


async def test_a_branch_that_fits_is_whole() -> None:
    found, counter = await fitted(conversation([200, 200, 200]))
    assert (found.start_id, counter.asked) == (None, 1)


async def test_the_oldest_turns_are_left_out_as_a_whole() -> None:
    messages = conversation([300, 300, 300, 100, 100])
    found, _ = await fitted(messages)
    assert found.start_id == messages[2].message_id


async def test_one_message_past_the_context_is_refused_with_the_numbers() -> None:
    with pytest.raises(DomainError) as refused:
        await fitted(conversation([10, 10, 900]))
    assert refused.value.reason is Reason.CONTEXT_LENGTH_EXCEEDED
    assert refused.value.metadata == {"token_count": "907", "max_output_tokens": "200", "context_length": "1000"}


@given(st.lists(st.integers(1, 400), min_size=1, max_size=9).filter(lambda words: len(words) % 2), st.integers(0, 80))
async def test_what_is_kept_fits_and_one_turn_more_would_not(words: list[int], system_words: int) -> None:
    messages, system = conversation(words), "be kind " * system_words
    around = 2 + (2 * system_words + TEMPLATE if system else 0)
    found, _ = await fitted(messages, system=system)
    ids = [message.message_id for message in messages]
    start = ids.index(found.start_id) if found.start_id else 0

    def tokens(first: int) -> int:
        return sum(count + TEMPLATE for count in words[first:]) + around

    assert messages[start].role == gen.ROLE_USER
    assert tokens(start) <= 800
    assert start == 0 or tokens(start - 2) > 800


async def test_a_prompt_is_the_branch_from_its_start_without_empty_replies() -> None:
    messages = conversation([1, 2, 3, 4, 5])
    messages[3].text = ""
    request = ReplyRequest(system_prompt="Be kind.", context_start_id=messages[2].message_id)
    prompt = await messages_of(request, upward(messages))
    assert [(message.role, message.text) for message in prompt] == [
        (gen.ROLE_SYSTEM, "Be kind."),
        (gen.ROLE_USER, messages[2].text),
        (gen.ROLE_USER, messages[4].text),
    ]
