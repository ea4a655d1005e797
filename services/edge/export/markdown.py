"""A conversation for people to read. Whatever a message says, it stays inside its own block."""

import re
from collections.abc import Iterable, Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from parley.history.v1.history_service_pb2 import Message
from parley.metadata.v1.metadata_service_pb2 import Conversation
from services.chassis.times import to_datetime
from services.edge.schema.generation import Role
from services.edge.schema.message import MessageStatus

UNTITLED = "Untitled conversation"
_SPEAKERS = {Role.SYSTEM: "System", Role.USER: "You", Role.ASSISTANT: "Assistant", Role.TOOL: "Tool"}
_NOTES = {
    MessageStatus.IN_PROGRESS: "This reply was still being written when the archive was made.",
    MessageStatus.CANCELLED: "This reply was stopped.",
    MessageStatus.FAILED: "This reply could not be finished.",
}
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#&~|$])")
"""What means something inside a line, to Markdown, to its usual extensions or to HTML."""


def head(conversation: Conversation) -> Iterator[str]:
    yield f"# {title(conversation.display_name)}\n\n"
    yield f"Started {when(conversation.create_time)}, with the model {inline(conversation.model)}.\n"
    if conversation.system_prompt:
        yield f"\n## System prompt\n\n{fenced(conversation.system_prompt)}"


def sections(messages: Iterable[Message]) -> Iterator[str]:
    for message in messages:
        status = MessageStatus(message.status)
        model = f" ({inline(message.request.model)})" if message.HasField("request") else ""
        yield f"\n## {_SPEAKERS[Role(message.role)]}{model}, {when(message.create_time)}\n\n"
        if message.text:
            yield fenced(message.text)
        if status in _NOTES:
            yield f"\n*{_NOTES[status]}*\n"


def title(display_name: str) -> str:
    """What people call a conversation, as one line."""
    return inline(display_name) or UNTITLED


def inline(text: str) -> str:
    """The text within one line, and without any meaning to Markdown."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def fenced(text: str) -> str:
    """The text in a block whose fence is longer than any run of backticks in the text: only the end can end it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}\n"


def when(stamp: Timestamp) -> str:
    return f"{to_datetime(stamp):%Y-%m-%d %H:%M} UTC"
