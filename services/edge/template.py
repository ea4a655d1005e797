"""What a subscriber's document makes of a delta."""

import re
import secrets

from services.edge.encoding import encode
from services.edge.errors import Wire
from services.edge.schema.reply import ReplyDelta

_CURSOR, _TEXT = secrets.token_hex(), secrets.token_hex()
_MARKS = re.compile(f'"({_CURSOR}|{_TEXT})"')


class DeltaTemplate:
    """The answer to a document for any delta, from its answer for a marked one.

    A document with its variables makes the same of every delta but for its cursor and text. So graphql-core executes it
    once, whatever it selects, and all other answers are its JSON with another cursor and text: where most of the edge's
    time would go otherwise.
    """

    MARKED = ReplyDelta(cursor=_CURSOR, text=_TEXT)

    def __init__(self, answer: Wire) -> None:
        parts = _MARKS.split(encode(answer))
        self._between, self._marks = parts[::2], parts[1::2]

    def fill(self, delta: ReplyDelta) -> str:
        """The answer, as JSON."""
        values = {_CURSOR: encode(delta.cursor), _TEXT: encode(delta.text)}
        filled = [self._between[0]]
        for mark, after in zip(self._marks, self._between[1:], strict=True):
            filled += (values[mark], after)
        return "".join(filled)
