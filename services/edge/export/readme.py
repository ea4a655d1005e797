"""The archive's table of contents, in plain words."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from parley.auth.v1.account_service_pb2 import Account
from parley.metadata.v1.metadata_service_pb2 import Conversation
from services.edge.export.markdown import inline, title, when

_WORDS = """
- `account.json`: who you are, your settings, your usage of this month, and the names of your API keys. The keys
  themselves are stored nowhere, and neither is your password.
- `conversations.json`: your conversations, without their messages.
- `conversations/*.md`: each conversation to read, on the branch that was shown last.
- `conversations/*.json`: all of each conversation, every message of every branch, by the time in its id, oldest first.
  `parentId` names the message before it. A reply has all that decided it (model, parameters, system prompt) and how it
  ended; one whose status is `IN_PROGRESS` was still being written.

Times are in UTC.

## Conversations

"""


def text(account: Account, made: datetime, contents: Iterable[str]) -> Iterator[str]:
    yield "# Your conversations with Parley\n\n"
    yield f"Everything of {inline(account.display_name)} ({inline(account.email)}) on {made:%Y-%m-%d at %H:%M} UTC.\n"
    yield _WORDS
    yield from contents


def line(conversation: Conversation, path: str) -> str:
    return f"- {when(conversation.create_time)}: [{title(conversation.display_name)}]({path})\n"
