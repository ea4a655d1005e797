"""What the fake engine reads and says: bytes and a few words as tokens, and replies that tests can foretell.

A reply is a row of words, drawn by (seed, place in the row) from the words of the last message and a few of its own,
some of which have characters of several bytes, split over as many tokens. The last message can ask for more:

- `words=N` anywhere in it: a reply of N words instead of the configured number;
- `fail=N` anywhere in it: the engine breaks after N tokens;
- `start=N` anywhere in it: no token comes before the Unix time N, so that many replies may start together;
- `say: TEXT` at its beginning: TEXT is the reply.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from services.inference.engine import ChatMessage, Logprobs, Parameters, Role
from services.inference.generation import EncodedChat
from services.inference.philox import uniforms

END, BEGIN = 256, 257
_ROLES = {role: BEGIN + 1 + place for place, role in enumerate(Role)}
_FIRST_WORD = BEGIN + 1 + len(_ROLES)
_WORDS = ("a", "the", "of", "is", "on", "sea", "hill", "stone", "river", "night", "warm", "quiet", "because", "perhaps")
_RARE = ("naïve", "Übung", "東京", "Ελλάδα", "👋🏽")

VOCABULARY: tuple[bytes, ...] = (
    *(bytes([byte]) for byte in range(256)),
    *(b"" for _ in range(256, _FIRST_WORD)),
    *(f" {word}".encode() for word in _WORDS),
)
_TOKEN_OF = {text.decode(): token for token, text in enumerate(VOCABULARY) if token >= _FIRST_WORD}
_PIECES = re.compile(r" [a-z]+|(?s:.)")

TEMPLATE_TOKENS_PER_MESSAGE = 5
"""The begin, role and end of each message; the assistant's turn is opened with two, spread over at least one."""


def encode_text(text: str) -> list[int]:
    known = ((piece, _TOKEN_OF.get(piece)) for piece in _PIECES.findall(text))
    return list(chain.from_iterable([token] if token else piece.encode() for piece, token in known))


def decode_text(tokens: Sequence[int]) -> str:
    return b"".join(VOCABULARY[token] for token in tokens).decode(errors="replace")


class FakeTokenizer:
    vocabulary = VOCABULARY
    end_ids = frozenset({END})

    def encode(self, messages: Sequence[ChatMessage]) -> EncodedChat:
        parts = [[BEGIN, _ROLES[each.role], *encode_text(each.text), END] for each in messages]
        opened = (BEGIN, _ROLES[Role.ASSISTANT])
        return EncodedChat((*chain.from_iterable(parts), *opened), tuple(map(len, parts)))


@dataclass(frozen=True, slots=True)
class Script:
    """A reply that is known beforehand."""

    tokens: tuple[int, ...]
    fails_after: int | None
    starts_at: int = 0
    """The Unix time before which nothing of it is said."""


def write(prompt: Sequence[int], parameters: Parameters, words: int) -> Script:
    """The reply to a prompt. Greedy decoding is as seed 0."""
    text = _last_message(prompt)
    fails, starts = re.search(r"\bfail=(\d+)", text), re.search(r"\bstart=(\d+)", text)
    if text.startswith("say: "):
        spoken: Iterable[Sequence[int]] = [encode_text(text.removeprefix("say: "))]
    else:
        wish = re.search(r"\bwords=(\d+)", text)
        # Each word takes a token or more.
        count = min(int(wish[1]) if wish else words, parameters.max_output_tokens)
        spoken = _draw(text, parameters.seed if parameters.temperature else 0, count)
    tokens = islice(chain(chain.from_iterable(spoken), [END]), parameters.max_output_tokens)
    return Script(tuple(tokens), int(fails[1]) if fails else None, int(starts[1]) if starts else 0)


def logprobs(token: int, count: int) -> Logprobs:
    """What the fake engine says of a token: it was as likely as not, and each that follows it half as likely again."""
    top = [((token + place) % len(VOCABULARY), -math.log(2) * (place + 1)) for place in range(count)]
    return Logprobs(token, -math.log(2), tuple(top))


def _last_message(prompt: Sequence[int]) -> str:
    """The text of the last message; all of a prompt that is no chat."""
    begins = [place for place, token in enumerate(prompt) if token == BEGIN]
    if len(begins) < 2:
        return decode_text(prompt)
    return decode_text(prompt[begins[-2] : begins[-1]])


def _draw(text: str, seed: int, count: int) -> Iterator[Sequence[int]]:
    words = (*re.findall(r"[^\W_]+", text)[:16], *_WORDS, *_RARE)
    pool = [encode_text(f" {word}") for word in words]
    for number in uniforms(seed, range(count)):
        yield pool[int(number * len(pool))]
