"""What the services of a test's mesh remember, and what a test can make them do."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message as Proto

from parley.auth.v1 import account_service_pb2
from parley.conversation.v1.conversation_service_pb2 import ConversationChange
from parley.history.v1 import history_service_pb2
from parley.inference.v1 import inference_service_pb2
from parley.metadata.v1 import metadata_service_pb2
from services.chassis.errors import not_found
from services.chassis.identity import Caller, caller
from services.chassis.ids import new_id
from tests.edge.journal import Changes, Journal
from tests.identity import Signer

SECRET = "a secret of the edge"
PASSWORD = "correct horse battery"


T = TypeVar("T")


@dataclass
class Person:
    account: account_service_pb2.Account
    api_key: str


@dataclass
class State:
    signer: Signer = field(default_factory=Signer)
    accounts: dict[str, account_service_pb2.Account] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    """By e-mail."""
    credentials: dict[str, str] = field(default_factory=dict)
    """API keys and refresh tokens: whose they are."""
    api_keys: dict[str, account_service_pb2.ApiKey] = field(default_factory=dict)
    conversations: dict[tuple[str, str], metadata_service_pb2.Conversation] = field(default_factory=dict)
    """By account and id."""
    settings: metadata_service_pb2.Settings = field(default_factory=metadata_service_pb2.Settings)
    messages: dict[str, history_service_pb2.Message] = field(default_factory=dict)
    journals: dict[str, Journal] = field(default_factory=dict)
    models: list[inference_service_pb2.Model] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    told: list[tuple[str, ConversationChange]] = field(default_factory=list)
    """What happened in conversations, and of which account."""
    commands: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with every command on a stream of watches."""
    registration_is_open: bool = True
    dies_while_deleting: bool = False
    """The next deletion of an account stops after it has closed it."""
    token_seconds: float = 60

    asked: list[tuple[str, Proto, Caller | None]] = field(default_factory=list)
    """Every call: its method, request and caller."""
    failures: dict[str, Exception] = field(default_factory=dict)
    """What a method raises instead of an answer."""
    after: dict[str, Callable[[], object]] = field(default_factory=dict)
    """What is done once, when a method has answered."""

    def tell(self, account_id: str, change: ConversationChange) -> None:
        self.told.append((account_id, change))
        self.changes.tell()

    def calls(self, method: str) -> list[Proto]:
        return [request for name, request, _ in self.asked if name == method]

    def add_person(self, name: str = "Ada", email: str = "") -> Person:
        account_id = new_id()
        account = account_service_pb2.Account(
            account_id=account_id,
            tenant_id="default",
            email=email or f"{name.lower()}-{account_id}@example.org",
            display_name=name,
            roles=["user"],
        )
        account.create_time.GetCurrentTime()
        self.accounts[account_id] = account
        self.passwords[account.email] = PASSWORD
        api_key = f"pk_{new_id()}"
        self.credentials[api_key] = account_id
        return Person(account, api_key)

    def callers(self, method: str) -> list[Caller | None]:
        return [who for name, _, who in self.asked if name == method]

    def conversation(self, conversation_id: str) -> metadata_service_pb2.Conversation:
        """The caller's."""
        found = self.conversations.get((caller().require_account(), conversation_id))
        if found is None:
            raise not_found("conversation")
        return found

    def branch(self, leaf_id: str) -> list[history_service_pb2.Message]:
        """From the leaf to the root."""
        found = []
        here: str | None = leaf_id
        while here:
            message = self.messages[here]
            found.append(message)
            here = message.parent_id if message.HasField("parent_id") else None
        return found

    def siblings(self, message: history_service_pb2.Message) -> list[str]:
        return sorted(
            other.message_id
            for other in self.messages.values()
            if (other.conversation_id, other.parent_id) == (message.conversation_id, message.parent_id)
        )


def public_bytes(signer: Signer) -> bytes:
    """The 32 bytes of the signer's public key."""
    x = str(signer._key.as_dict()["x"])
    return base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))


def page(items: list[T], size: int, token: str) -> tuple[list[T], str]:
    """A page of a list that does not change, and the token of the next."""
    start = int(token or 0)
    following = start + size
    return items[start:following], str(following) if following < len(items) else ""
