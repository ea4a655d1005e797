"""A model's own tokenizer and chat template, made safe: special tokens come from the template alone."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, groupby
from typing import cast

from tokenizers import AddedToken, Tokenizer

from services.chassis.errors import DomainError
from services.inference.chat_template import Render, frame
from services.inference.engine import ChatMessage, ModelUnusableError, Role, invalid
from services.inference.generation import EncodedChat
from services.inference.vocabulary import read_vocabulary

_PROBES = (
    (Role.USER,),
    (Role.USER, Role.ASSISTANT, Role.USER),
    (Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER),
    (Role.USER, Role.ASSISTANT, Role.TOOL),
)
"""Chats by which a template's share of a message is measured; it may refuse some."""

Parts = list[str | int]
"""Text that is tokenized as text, and special tokens."""


class ModelTokenizer:
    """A model's `Tokenizer`. Safe for threads."""

    def __init__(
        self, backend: Tokenizer, render: Render | None, end_ids: Collection[int], vocabulary_size: int
    ) -> None:
        """`render` applies the chat template, if there is one. `vocabulary_size` is the model's, which may be more than
        the tokenizer's. Raises ModelUnusableError.
        """
        added = backend.get_added_tokens_decoder()
        self._backend, self._render = backend, render
        self._added = {token.content: number for number, token in added.items()}
        self._spelled = _pattern(list(added.values()))
        self._plain = _without_added_tokens(backend)
        self.vocabulary = read_vocabulary(backend, vocabulary_size)
        self.end_ids = frozenset(end_ids)
        for content, number in self._added.items():
            if number in self._tokenize([[content]])[0]:
                raise ModelUnusableError(f"Its tokenizer cannot write {content} as text.")

    def encode(self, messages: Sequence[ChatMessage]) -> EncodedChat:
        """The prompt as transformers would tokenize it, if no text spelled a special token.

        Each message is tokenized with what its template writes around it and apart from its neighbours, so that its
        count is what the prompt loses without it. This is exact where a template frames messages one by one, as ChatML
        does. What it writes before them all, such as a default system prompt, belongs to no message; but a first
        message that is the only one of its role cannot be told apart from it, and is counted with it.
        """
        if not self._render:
            raise invalid("chat", "must be absent: the model has no chat template, give it tokens")
        framed = frame(self._render, messages)
        shares = [[*self._parts(each.before), each.text, *self._parts(each.after)] for each in framed.shares]
        encoded = self._tokenize([self._parts(framed.preamble), *shares, self._parts(framed.opening)])
        counts = [0] * len(messages)
        for share, tokens in zip(framed.shares, encoded[1:-1], strict=True):
            counts[share.message] = len(tokens)
        return EncodedChat(tuple(chain.from_iterable(encoded)), tuple(counts))

    def template_tokens_per_message(self) -> int:
        """What a prompt takes beyond its texts, divided by its messages, at most."""
        bounds = [0]
        for roles in _PROBES:
            try:
                encoded = self.encode([ChatMessage(role, "") for role in roles])
            except DomainError:
                continue  # not a chat for this template
            beside = len(encoded.tokens) - sum(encoded.message_tokens)
            bounds.append(max(encoded.message_tokens) + beside)
        return max(bounds)

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Tokens that are this text and nothing else, whatever it spells."""
        return tuple(self._tokenize([[text]])[0])

    def spell(self, tokens: tuple[int, ...]) -> str:
        """The tokens as text, special ones spelled out. Raises INVALID_ARGUMENT if it would read as others."""
        content = {number: text.encode() for text, number in self._added.items()}
        text = b"".join(content.get(token, self.vocabulary[token]) for token in tokens).decode(errors="replace")
        read = self._backend.encode(text, add_special_tokens=False).ids
        if [token for token in read if token in content] != [token for token in tokens if token in content]:
            raise invalid(
                "prompt", "must not spell the model's special tokens: this deployment's engine takes text alone"
            )
        return text

    def _parts(self, literal: str) -> Parts:
        """What a template wrote: its text, and the special tokens that it spelled."""
        parts: Parts = []
        end = 0
        for found in self._spelled.finditer(literal):
            assert found.lastindex
            parts += [literal[end : found.start()], self._added[found[found.lastindex]]]
            end = found.end()
        return [*parts, literal[end:]]

    def _tokenize(self, sequences: Sequence[Parts]) -> list[list[int]]:
        joined = [list(_joined(parts)) for parts in sequences]
        texts = [part for parts in joined for part in parts if isinstance(part, str)]
        # In a batch the tokenizer works without Python's lock.
        encoded = iter(self._plain.encode_batch_fast(texts, add_special_tokens=False))
        return [
            list(chain.from_iterable(next(encoded).ids if isinstance(part, str) else (part,) for part in parts))
            for parts in joined
        ]


def _joined(parts: Parts) -> Iterator[str | int]:
    """The same with neighbouring texts as one, so that tokens may reach over their border."""
    for kind, group in groupby(parts, type):
        if kind is str:
            yield "".join(cast("Iterator[str]", group))
        else:
            yield from group


def _pattern(added: Sequence[AddedToken]) -> re.Pattern[str]:
    """Finds added tokens in a template's text, with the white space that some of them swallow."""
    longest_first = sorted(added, key=lambda token: -len(token.content))
    choices = [
        (r"\s*" if token.lstrip else "") + f"({re.escape(token.content)})" + (r"\s*" if token.rstrip else "")
        for token in longest_first
    ]
    return re.compile("|".join(choices) or "(?!)")


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, to which every text is only text."""
    description = json.loads(tokenizer.to_str())
    description |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    # A run of text stands behind a special token, never first.
    text = json.dumps(description).replace('"prepend_scheme": "first"', '"prepend_scheme": "never"')
    return Tokenizer.from_str(text)
