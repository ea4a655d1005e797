"""The bytes behind a tokenizer's tokens."""

import json
from collections.abc import Iterator

from tokenizers import Tokenizer

from services.inference.detokenizer import Vocabulary
from services.inference.engine import ModelUnusableError

_PIECES_WITH_UNDERLINES = {"Replace", "ByteFallback", "Metaspace"}


def read_vocabulary(tokenizer: Tokenizer, size: int) -> Vocabulary:
    """The bytes of the tokens 0 to before `size`; none for special ones and for ids that the tokenizer lacks."""
    kinds = set(_kinds(json.loads(tokenizer.to_str())["decoder"]))
    if "ByteLevel" in kinds:
        decode = _from_byte_level
    elif kinds & _PIECES_WITH_UNDERLINES:
        decode = _from_piece
    else:
        raise ModelUnusableError(f"Its tokenizer's decoder ({', '.join(sorted(kinds)) or 'none'}) is not known here.")
    vocabulary = [b""] * size
    for piece, token in tokenizer.get_vocab(with_added_tokens=False).items():
        vocabulary[token] = decode(piece)
    for token, added in tokenizer.get_added_tokens_decoder().items():
        vocabulary[token] = b"" if added.special else added.content.encode()
    return vocabulary


def _kinds(decoder: object) -> Iterator[str]:
    """The types of a decoder and of all that it is made of."""
    if isinstance(decoder, dict):
        if isinstance(kind := decoder.get("type"), str):
            yield kind
        for part in decoder.values():
            yield from _kinds(part)
    elif isinstance(decoder, list):
        for part in decoder:
            yield from _kinds(part)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's: each byte as a printable character, those that are none as the characters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()


def _from_byte_level(piece: str) -> bytes:
    try:
        return bytes(map(_BYTE_OF.__getitem__, piece))
    except KeyError:
        return b"".join(bytes([_BYTE_OF[char]]) if char in _BYTE_OF else char.encode() for char in piece)


def _from_piece(piece: str) -> bytes:
    """SentencePiece's: a space as U+2581, a byte that no piece covers as <0xNN>."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\u2581", " ").encode()
