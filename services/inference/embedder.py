"""Where texts lie among all meanings, for search."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    values: NDArray[np.float32]
    """Of length 1."""
    token_count: int
    """Tokens that were taken in."""
    truncated: bool


class Embedder(Protocol):
    model_id: str
    """What requests name."""

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """An embedding for each text, a function of that text alone. Raises ENGINE_OVERLOADED or ENGINE_FAILED."""


class FakeEmbedder:
    """Needs no model: each word is a direction of its own, so that texts which share words are near each other."""

    model_id = "fake-embedding"
    SIZE = 64
    TAKEN_WORDS = 256

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        return [self._embed(text.lower().split()) for text in texts]

    def _embed(self, words: list[str]) -> Embedding:
        taken = words[: self.TAKEN_WORDS]
        total = np.sum([_direction(word, self.SIZE) for word in ("", *taken)], axis=0)
        return Embedding(normalised(total), len(taken), len(words) > len(taken))


def _direction(word: str, size: int) -> NDArray[np.float32]:
    digest = hashlib.blake2b(word.encode(), digest_size=size).digest()
    return np.frombuffer(digest, np.uint8).astype(np.float32) - 127.5


def normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    # Summed exactly, in no order that a library chooses.
    length = math.sqrt(math.fsum(float(value) ** 2 for value in values))
    return (values / np.float32(length)).astype(np.float32)
