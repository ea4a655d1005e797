"""The fake engine's text, as an upstream and its client need it: special tokens can be spelled."""

import re

from services.inference.engine import invalid
from services.inference.fake_text import BEGIN, TEMPLATE_TOKENS_PER_MESSAGE, VOCABULARY, FakeTokenizer, encode_text

_SPELLED = re.compile(r"<\|(\d+)\|>")


class SpokenTokenizer(FakeTokenizer):
    """A `TextTokenizer`."""

    def encode_text(self, text: str) -> tuple[int, ...]:
        return tuple(encode_text(text))

    def spell(self, tokens: tuple[int, ...]) -> str:
        text = b"".join(VOCABULARY[token] or f"<|{token}|>".encode() for token in tokens).decode(errors="replace")
        if len(_SPELLED.findall(text)) > sum(not VOCABULARY[token] for token in tokens):
            raise invalid("prompt", "must not spell special tokens")
        return text

    def template_tokens_per_message(self) -> int:
        return TEMPLATE_TOKENS_PER_MESSAGE


def read_spelled(text: str) -> tuple[int, ...]:
    """What `spell` wrote."""
    parts = _SPELLED.split(text)
    specials = [*map(int, parts[1::2]), None]
    tokens: list[int] = []
    for plain, special in zip(parts[::2], specials, strict=True):
        tokens += encode_text(plain)
        if special is not None:
            tokens.append(special)
    return tuple(tokens)


def split_prompt(tokens: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A chat's prompt, and what was emitted behind it. What is no chat is all prompt."""
    if BEGIN not in tokens:
        return tokens, ()
    opened = len(tokens) - tokens[::-1].index(BEGIN) + 1
    return tokens[:opened], tokens[opened:]
