"""A list that is read from its end, though it can only be listed from its beginning."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from parley.history.v1.history_service_pb2 import ListMessagesResponse, Message

Fetch = Callable[[str], Awaitable[ListMessagesResponse]]
"""The page that a token opens, newest first."""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a page begins."""

    token: str
    message_id: str


async def oldest_first(fetch: Fetch) -> AsyncIterator[Sequence[Message]]:
    """All messages of a list, in parts. It is read twice, and what is kept of it is one page and where each begins.

    The first reading decides where the list begins: of what is written meanwhile, nothing need appear.
    """
    page = await fetch("")
    starts: list[_Start] = []
    token = ""
    while page.messages:
        starts.append(_Start(token, page.messages[0].message_id))
        token = page.next_page_token
        if not token:
            break
        page = await fetch(token)
    yield page.messages[::-1]
    for start, following in zip(starts[-2::-1], starts[:0:-1], strict=True):
        yield await _between(fetch, start, following)


async def _between(fetch: Fetch, start: _Start, following: _Start) -> list[Message]:
    """The messages of what was one page, oldest first.

    It may have become two: services end a page early where its texts are large, and that of a reply grows once.
    """
    found: list[Message] = []
    token = start.token
    while True:
        page = await fetch(token)
        for message in page.messages:
            if message.message_id == following.message_id:
                return found[::-1]
            found.append(message)
        token = page.next_page_token
        if token in ("", following.token):  # empty: it was deleted meanwhile
            return found[::-1]
