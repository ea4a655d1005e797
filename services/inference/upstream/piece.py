"""What one event of an upstream's stream brought, and its tokens."""

from dataclasses import dataclass
from typing import Protocol

from services.inference.engine import engine_failed
from services.inference.generation import Tokenizer


class TextTokenizer(Tokenizer, Protocol):
    def encode_text(self, text: str) -> tuple[int, ...]:
        """Tokens that are this text and nothing else: no special ones, whatever it spells."""

    def spell(self, tokens: tuple[int, ...]) -> str:
        """The text that an upstream reads as these tokens, special ones spelled out.

        Raises INVALID_ARGUMENT if it would read special ones where there are none.
        """

    def template_tokens_per_message(self) -> int:
        """See `Model`."""


@dataclass(frozen=True, slots=True)
class Piece:
    tokens: tuple[int, ...] = ()
    text: str | None = None
    """None where the tokens say all; otherwise the text is exact, and the tokens are only if they spell it."""
    finish: str | None = None
    """Why the upstream ended, as it calls it."""
    cached_prompt_tokens: int = 0

    def settle(self, tokenizer: TextTokenizer) -> tuple[int, ...]:
        """Its tokens; where the upstream did not tell them all, its text as our tokenizer cuts it."""
        vocabulary = tokenizer.vocabulary
        if any(not 0 <= token < len(vocabulary) for token in self.tokens):
            raise engine_failed("The upstream's vocabulary is not the tokenizer's.")
        if self.text is None:
            return self.tokens
        spelled = b"".join(vocabulary[token] for token in self.tokens).decode(errors="replace")
        return self.tokens if spelled == self.text else tokenizer.encode_text(self.text)
