"""E-mail addresses."""

import re
import unicodedata

MAX_CHARACTERS = 254
_SHAPE = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")


def normalized(email: str) -> str:
    """The address as it is stored and looked up."""
    return unicodedata.normalize("NFKC", email).lower()


def is_email(email: str) -> bool:
    """Whether it looks like an address; whether it is one, only a letter to it can tell."""
    address = normalized(email)
    return len(address) <= MAX_CHARACTERS and _SHAPE.fullmatch(address) is not None
