"""Server-sent events with JSON in them, from the bytes of a response."""

import json
from collections.abc import AsyncIterator

from services.inference.upstream.dialect import Json, malformed

MAX_EVENT_BYTES = 1024 * 1024
"""Far more than any step brings."""
_DONE = b"[DONE]"


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Json]:
    """The events up to [DONE] or the end; comments are left out. Raises ENGINE_FAILED for what is none."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_EVENT_BYTES:
            raise malformed()
        for line in lines:
            data = line.removeprefix(b"data:").strip()
            if data == line.strip():
                continue  # a comment, an empty line, or a field that is not data
            if data == _DONE:
                return
            yield _parse(data)


def _parse(data: bytes) -> Json:
    try:
        event = json.loads(data)
    except ValueError:
        raise malformed() from None
    if not isinstance(event, dict):
        raise malformed()
    return event
