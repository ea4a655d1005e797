"""Prompts as token ids, the same for every engine: text without a chat's marks, so that a model hardly ends it."""

import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

TEXT = """
the old harbour was quiet when a small boat came back from sea with its nets empty and nobody spoke until morning
because every house on that shore had waited long for news of the summer storm which took seven ships and left only
wind rain salt light stone smoke bread rope lamps bells gulls and one letter without name
"""


class Prompts:
    """Prompts that begin differently, so that none finds anything of another in a cache."""

    def __init__(self, model: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._random = random.Random(1)
        self._choice = TEXT.split()

    def take(self, count: int, tokens: int) -> list[list[int]]:
        """So many prompts of exactly so many tokens."""
        return [self._one(tokens) for _ in range(count)]

    def _one(self, tokens: int) -> list[int]:
        ids: list[int] = self._tokenizer.encode(" ".join(self._words(tokens)), add_special_tokens=False).ids
        return ids[:tokens]

    def _words(self, count: int) -> Iterator[str]:
        yield f"{self._random.randrange(10**9)}."
        for _ in range(count):
            yield self._random.choice(self._choice)
