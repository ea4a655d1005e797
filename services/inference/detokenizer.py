"""From tokens to text: bytes in, whole characters out, nothing that may still become a stop string."""

import codecs
from collections.abc import Sequence

Vocabulary = Sequence[bytes]
"""The bytes that each token id stands for; none for tokens that are no text."""


class Detokenizer:
    """Releases text as soon as nothing that follows can change it: a left fold over the tokens' bytes.

    Bytes that are not UTF-8 become U+FFFD, and so does NUL, which no store of text has to take. A character that is
    still incomplete when the reply ends is left out.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = stop
        self._held = ""
        """The longest end of the text that a stop string may begin with."""
        self.stopped = False
        """A stop string appeared; what comes after it is dropped."""

    def push(self, data: bytes) -> str:
        """Takes a token's bytes and returns the text that they release."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(data).replace("\0", "\ufffd")
        if not self._stop:
            return text
        end = self._first_stop(text)
        if end is None:
            end = self._safe_length(text)
        else:
            self.stopped = True
        self._held = text[end:]
        return text[:end]

    def flush(self) -> str:
        """What was held back, when the reply ends without a stop string."""
        held, self._held = ("" if self.stopped else self._held), ""
        return held

    def _first_stop(self, text: str) -> int | None:
        """Where the stop string begins that is the first to be complete; the longest, if several end there."""
        found = [(begin + len(stop), begin) for stop in self._stop if (begin := text.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _safe_length(self, text: str) -> int:
        longest = max(len(stop) for stop in self._stop) - 1
        for begin in range(max(0, len(text) - longest), len(text)):
            if any(stop.startswith(text[begin:]) for stop in self._stop):
                return begin
        return len(text)
