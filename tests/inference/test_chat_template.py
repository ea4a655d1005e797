"""Templates of many shapes: a text goes in as it is, and each message knows its share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import DomainError, Reason
from services.inference.engine import ChatMessage, Role
from services.inference.model_tokenizer import ModelTokenizer
from services.inference.tokenizer_files import make_render
from tests.inference.generations import chat
from tests.inference.tiny import TEMPLATE, make_tokenizer

DEFAULT_SYSTEM = (
    "{% for message in messages %}"
    "{% if loop.first and message.role != 'system' %}{{ '<|begin|>system\nBe good.<|end|>\n' }}{% endif %}"
    "{{ '<|begin|>' + message.role + '\n' + message.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|begin|>assistant\n' }}{% endif %}"
)
STRIPPING = (
    "{% for message in messages %}{{ '<|begin|>' + message.role + '\n\n' + message.content | trim + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|begin|>assistant\n\n' }}{% endif %}"
)
ALTERNATING = (
    "{% for message in messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if message.role == 'user' %}{{ '[INST] ' + message.content + ' [/INST]' }}"
    "{% else %}{{ message.content + '<|end|>' }}{% endif %}{% endfor %}"
)
SYSTEM_IN_THE_LAST = (
    "{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for message in messages if message.role != 'system' %}"
    "{% if loop.last and system %}{{ system + '\n\n' }}{% endif %}{{ message.content + '<|end|>' }}{% endfor %}"
)
FORGETFUL = "{{ '<|begin|>' + messages[-1].content + '<|end|>' }}"
NO_SPECIALS = (
    "{% for message in messages %}{{ message.role + ': ' + message.content + '\n' }}{% endfor %}{{ 'assistant: ' }}"
)

texts = st.text(max_size=12) | st.sampled_from(
    ["<|end|>", "<|begin|>system\n", " \n x \t", "\u2003", "{{ 1 }}", "\x1f", "京"]
)
chats = st.lists(texts, min_size=1, max_size=6).map(lambda parts: chat(*parts))


def tokenizer(template: str) -> ModelTokenizer:
    made = make_tokenizer(template)
    return ModelTokenizer(made.backend_tokenizer, make_render(template, {"eos_token": "<|end|>"}), {1}, len(made))


SHAPES = {
    template: tokenizer(template)
    for template in (TEMPLATE, DEFAULT_SYSTEM, STRIPPING, ALTERNATING, SYSTEM_IN_THE_LAST, NO_SPECIALS)
}


def read(shape: ModelTokenizer, tokens: tuple[int, ...]) -> str:
    """The prompt as text, its special tokens as two characters that no text has."""
    marks = {0: "\ue100".encode(), 1: "\ue101".encode()}
    return b"".join(marks.get(token) or shape.vocabulary[token] for token in tokens).decode()


@pytest.mark.parametrize("template", SHAPES)
@given(messages=chats)
def test_a_text_is_only_text(template: str, messages: tuple[ChatMessage, ...]) -> None:
    shape = SHAPES[template]
    encoded = shape.encode(messages)
    stripped = [message.text.strip() if template is STRIPPING else message.text for message in messages]
    plain = [{"role": each.role.value, "content": f"\ue000{place}."} for place, each in enumerate(messages)]
    expected = make_tokenizer(template).apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    assert isinstance(expected, str)
    expected = expected.replace("<|begin|>", "\ue100").replace("<|end|>", "\ue101")
    for place, text in enumerate(stripped):
        expected = expected.replace(f"\ue000{place}.", text)
    assert read(shape, encoded.tokens) == expected


@pytest.mark.parametrize("template", [TEMPLATE, DEFAULT_SYSTEM, STRIPPING, ALTERNATING])
@given(messages=chats.filter(lambda messages: len(messages) > 2))
def test_leaving_out_a_turn_shortens_the_prompt_by_its_share(template: str, messages: tuple[ChatMessage, ...]) -> None:
    shape = SHAPES[template]
    whole, shorter = shape.encode(messages), shape.encode(messages[2:])
    assert len(whole.tokens) - len(shorter.tokens) == sum(whole.message_tokens[:2])


@pytest.mark.parametrize("template", SHAPES)
@given(messages=chats)
def test_a_prompt_has_no_more_tokens_than_its_bytes_and_shares(
    template: str, messages: tuple[ChatMessage, ...]
) -> None:
    shape = SHAPES[template]
    share = shape.template_tokens_per_message()
    assert len(shape.encode(messages).tokens) <= sum(len(each.text.encode()) + share for each in messages)


def test_a_default_system_prompt_belongs_to_no_message() -> None:
    shape = SHAPES[DEFAULT_SYSTEM]
    counts = shape.encode(chat("same", "same", "same")).message_tokens
    assert counts[0] == counts[2]
    named = shape.encode((ChatMessage(Role.SYSTEM, "Be bad."), *chat("same")))
    assert "Be good." not in read(shape, named.tokens)


def test_a_system_prompt_in_the_last_message_is_found() -> None:
    shape = SHAPES[SYSTEM_IN_THE_LAST]
    encoded = shape.encode((ChatMessage(Role.SYSTEM, "Sys"), *chat("one", "two", "three")))
    assert read(shape, encoded.tokens) == "one\ue101two\ue101Sys\n\nthree\ue101"
    assert len(encoded.message_tokens) == 4
    assert sum(encoded.message_tokens) == len(encoded.tokens)


@pytest.mark.parametrize(
    ("template", "messages", "words"),
    [
        (ALTERNATING, (*chat("a"), *chat("b")), "roles must alternate"),
        (FORGETFUL, chat("a", "b"), "must be a chat"),
    ],
)
def test_a_chat_that_the_template_refuses(template: str, messages: tuple[ChatMessage, ...], words: str) -> None:
    with pytest.raises(DomainError, match=words) as refused:
        tokenizer(template).encode(messages)
    assert refused.value.reason is Reason.INVALID_ARGUMENT
    assert list(refused.value.fields) == ["chat.messages"]


def test_a_model_without_a_template_takes_no_chat() -> None:
    made = make_tokenizer()
    with pytest.raises(DomainError) as refused:
        ModelTokenizer(made.backend_tokenizer, None, {1}, len(made)).encode(chat("hi"))
    assert list(refused.value.fields) == ["chat"]
