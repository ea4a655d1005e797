"""What a JSON schema allows a reply to say next: a mask over the tokens, wherever in the reply it stands.

By llguidance: it takes the bytes of any vocabulary, refuses keywords that it cannot keep instead of passing over them,
and its work for a mask has bounds.
"""

import json
from collections.abc import Collection

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from services.chassis.errors import DomainError
from services.inference.detokenizer import Vocabulary
from services.inference.draw import TokenMask
from services.inference.engine import invalid
from services.inference.schema_check import LIMITS

FIELD = "parameters.json_schema"
MAX_DEPTH = 48
"""Of a schema's values in each other: no sensible one comes near, and the compiler's own bound is not much above."""
_OPTIONS = {
    "item_separator": ",",
    "key_separator": ":",
    # Not without end: a small model would write white space for ever.
    "whitespace_pattern": r"\x20|\n\x20{0,32}",
    "whitespace_flexible": True,
    "coerce_one_of": False,
    "lenient": False,
    "json_allow_general_unicode_escapes": False,
}
"""All that a schema could otherwise choose itself."""


class SchemaError(Exception):
    """A schema that no reply can be kept to; the message says why, in words for its author."""


class TokenTrie:
    """A vocabulary with tokens that end a reply, ready for grammars."""

    def __init__(self, vocabulary: Vocabulary, end_ids: Collection[int]) -> None:
        self.words = -(-len(vocabulary) // 32)
        tokens = [b"" if token in end_ids else text for token, text in enumerate(vocabulary)]
        self.tokenizer = LLTokenizer(
            _Tokens(tokens, min(end_ids)), eos_token=sorted(end_ids), slices=LLTokenizer.json_slices()
        )


class _Tokens(TokenizerWrapper):
    def __init__(self, tokens: list[bytes], end: int) -> None:
        self.tokens, self.eos_token_id, self.bos_token_id = tokens, end, None
        self.special_token_ids = [token for token, text in enumerate(tokens) if not text]
        self.is_tokenizer_wrapper = True

    def __call__(self, _text: str) -> list[int]:
        raise AssertionError("a grammar that forces nothing tokenizes nothing")


class Grammar:
    """A compiled schema. Safe for threads."""

    def __init__(self, text: str, trie: TokenTrie) -> None:
        """Takes the text of `write_grammar`. Raises SchemaError."""
        self._matcher, self._words = LLMatcher(trie.tokenizer, text, log_level=0, limits=LIMITS), trie.words
        if self._matcher.is_error():
            raise SchemaError(explain(self._matcher.get_error()))
        if not self.begin().mask().any():
            raise SchemaError("no value conforms to it")

    def begin(self) -> "Matcher":
        """A reply's beginning."""
        return Matcher(self._matcher.deep_copy(), self._words)


class Matcher:
    """Where a reply stands in its schema: a left fold over its tokens. Belongs to one thread at a time."""

    def __init__(self, matcher: LLMatcher, words: int) -> None:
        self._matcher, self._words = matcher, words

    def push(self, token: int) -> None:
        """Takes the reply's next token."""
        self._matcher.consume_token(token)

    @property
    def failed(self) -> bool:
        """A token did not follow the schema, or to follow it takes too much work; nothing is allowed any more."""
        return self._matcher.is_error()

    def mask(self) -> TokenMask:
        """The tokens that may come next; those that end the reply where its value is complete, and only there."""
        allowed = np.frombuffer(self._matcher.compute_bitmask(), np.uint32)[: self._words].copy()
        return allowed * np.uint32(not self.failed)


def too_complex() -> DomainError:
    """The end of a reply that its schema lets go no further."""
    return invalid(FIELD, "is too complex to be followed at this place of the reply")


def write_grammar(schema: str) -> str:
    """The compiler's text for a schema. Raises SchemaError."""
    try:
        parsed = json.loads(schema, parse_constant=_refuse_constant)
    except RecursionError:
        raise SchemaError(_TOO_DEEP) from None
    except ValueError:
        raise SchemaError("must be JSON") from None
    if not isinstance(parsed, dict):
        raise SchemaError("must be a JSON object")
    if _depth(parsed) > MAX_DEPTH:
        raise SchemaError(_TOO_DEEP)
    # Nothing is forced: a mask is all that goes on with some reply, however its text is cut into tokens, and a long
    # constant is not tokenized again at each of them.
    return f'%llguidance {{"no_forcing": true}}\nstart: %json {json.dumps(parsed | {"x-guidance": _OPTIONS})}\n'


_TOO_DEEP = f"must not be nested more than {MAX_DEPTH} deep"


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict | list):
                inner += each.values() if isinstance(each, dict) else each
        level = inner
    return depth


def explain(message: str) -> str:
    """What the compiler says of a schema, as far as it is for the schema's author."""
    words = message.partition("\n")[0].rpartition("failed to compile JSON schema: ")[2].partition(". ")[0]
    return words if len(words) <= 200 else f"{words[:200]}…"
