"""What is in an archive, in the order in which it is written."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from parley.auth.v1.account_service_pb2 import Account
from parley.metadata.v1.metadata_service_pb2 import Conversation
from services.edge.export import markdown, readme, records
from services.edge.export.archive import Archive
from services.edge.export.backwards import oldest_first
from services.edge.export.reading import Reading
from services.edge.export.records import VERSION, Record

MAX_LOOKS = 10
"""At the list of conversations: whoever keeps changing them all the while is not followed for ever."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Export:
    """The export of one account. Of each conversation it keeps an id and a line of the table of contents, no more."""

    reading: Reading
    account: Account
    made: datetime
    _known: dict[str, None] = field(default_factory=dict, init=False)
    _contents: list[str] = field(default_factory=list, init=False)

    async def write(self, archive: Archive) -> None:
        """Raises DomainError, and then the archive has no end."""
        await archive.add("account.json", self._account())
        conversations = _object({}, "conversations", self._conversations(), records.conversation)
        await archive.add("conversations.json", conversations)
        for conversation_id in self._known:
            if conversation := await self.reading.conversation(conversation_id):
                await self._write_conversation(archive, conversation)
        await archive.add("README.md", _one(readme.text(self.account, self.made, self._contents)))
        await archive.end()

    async def _write_conversation(self, archive: Archive, conversation: Conversation) -> None:
        conversation_id = conversation.conversation_id
        name = f"conversations/{conversation_id}"
        tree = oldest_first(partial(self.reading.messages, conversation_id, None))
        about: Record = {"conversation": records.conversation(conversation)}
        await archive.add(f"{name}.json", _object(about, "messages", tree, records.message))
        await archive.add(f"{name}.md", self._transcript(conversation))
        self._contents.append(readme.line(conversation, f"{name}.md"))

    async def _account(self) -> AsyncIterator[Iterable[str]]:
        settings, usage = await self.reading.settings(), await self.reading.usage()
        keys = records.api_keys(await self.reading.api_keys())
        whole = {**records.account(self.account, settings, usage), "apiKeys": keys}
        yield [_json({"version": VERSION, "exportTime": self.made.isoformat(), "account": whole}), "\n"]

    async def _conversations(self) -> AsyncIterator[Sequence[Conversation]]:
        """Each once: also those that others moved to a page which was read before, for it is looked again."""
        for _ in range(MAX_LOOKS):
            known = len(self._known)
            async for page in self.reading.conversations():
                new = [conversation for conversation in page if conversation.conversation_id not in self._known]
                self._known.update((conversation.conversation_id, None) for conversation in new)
                yield new
            if len(self._known) == known:
                return

    async def _transcript(self, conversation: Conversation) -> AsyncIterator[Iterable[str]]:
        yield markdown.head(conversation)
        leaf_id = conversation.current_leaf_id
        if leaf_id:
            async for part in oldest_first(partial(self.reading.messages, conversation.conversation_id, leaf_id)):
                yield markdown.sections(part)


async def _object(
    head: Record, name: str, pages: AsyncIterable[Sequence[T]], record: Callable[[T], Record]
) -> AsyncIterator[Iterable[str]]:
    """A JSON object whose last member is a list, however long, with an item in each line."""
    yield [_json({"version": VERSION, **head})[:-1], f', "{name}": [']
    before = "\n"
    async for page in pages:
        yield _items(page, record, before)
        before = ",\n" if page else before
    yield ["\n]}\n"]


def _items(page: Sequence[T], record: Callable[[T], Record], before: str) -> Iterator[str]:
    for item in page:
        yield before
        yield _json(record(item))
        before = ",\n"


async def _one(text: Iterable[str]) -> AsyncIterator[Iterable[str]]:
    yield text


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
