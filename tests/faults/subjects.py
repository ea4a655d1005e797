"""The services whose stores fail, and a call to each that needs its store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from parley.auth.v1 import account_service_pb2 as accounts_pb
from parley.auth.v1 import token_service_pb2 as tokens_pb
from parley.auth.v1.account_service_pb2_grpc import AccountServiceStub
from parley.auth.v1.token_service_pb2_grpc import TokenServiceStub
from parley.conversation.v1 import conversation_service_pb2 as conversation_pb
from parley.conversation.v1.conversation_service_pb2_grpc import ConversationServiceStub
from parley.history.v1 import history_service_pb2 as history_pb
from parley.history.v1.history_service_pb2_grpc import HistoryServiceStub
from parley.inference.v1 import generation_pb2 as gen
from parley.metadata.v1 import metadata_service_pb2 as metadata_pb
from parley.metadata.v1.metadata_service_pb2_grpc import MetadataServiceStub
from services.auth.stores import open_database
from services.chassis.channel import open_channel
from services.chassis.ids import new_id
from services.history import stores as history
from services.metadata import stores as metadata
from tests.faults.locked import locked, locked_cassandra, locked_redis
from tests.faults.outgrown import outgrown_cassandra, outgrown_mongodb, outgrown_postgres
from tests.faults.places import Place, cassandra_place, mongodb_place, postgres_place, redis_place
from tests.faults.standins import StandIns
from tests.servers import server

OPERATOR_SECRET = "the operator's secret of these tests"

Call = Callable[[grpc.aio.Channel, StandIns, float], Awaitable[object]]
"""Makes a call with a deadline in seconds, and raises what it raises."""
Prepared = Callable[[grpc.aio.Channel, StandIns, float, str], Awaitable[object]]
"""The same, with what was prepared for it."""


@dataclass(frozen=True, slots=True)
class Subject:
    service: str
    store: str
    """As the tests call its server."""
    place: Callable[[], AbstractAsyncContextManager[Place]]
    migrate: Callable[[str], Awaitable[object]]
    outgrown: Callable[[Place], AbstractAsyncContextManager[None]] | None
    """In its block the schema is one of a later release; None where there is no schema."""
    locked: Callable[[Place], AbstractAsyncContextManager[str]]
    """A URL whose password is wrong."""
    prepare: Callable[[StandIns], Awaitable[str]]
    write: Prepared
    """Needs the store."""
    refuse: Call
    """Is refused without asking the store: INVALID_ARGUMENT."""

    def environment(self, place: Place, url: str, around: StandIns) -> dict[str, str]:
        """The process's, with its store at `url`."""
        if self.service == "auth":
            return {
                "PARLEY_STORE_URL": url,
                "PARLEY_SERVICE_SECRETS": f"operator={OPERATOR_SECRET}",
                "PARLEY_SIGNING_SECRET": "the signing secret of these tests alone",
                "PARLEY_PASSWORD_ITERATIONS": "1",
                "PARLEY_PASSWORD_MEMORY_KIB": "8",
                "PARLEY_PASSWORD_LANES": "1",
            }
        known = {f"PARLEY_{name.upper()}_ADDRESS": address for name, address in around.addresses.items()}
        if self.service == "conversation":
            own = {"PARLEY_REDIS_URL": url, "PARLEY_REDIS_PREFIX": place.name}
            known["PARLEY_INFERENCE_ADDRESSES"] = known.pop("PARLEY_INFERENCE_ADDRESS")
        else:
            own = {"PARLEY_STORE_URL": url}
        return {**known, **own, "PARLEY_SERVICE_SECRET": "the secret of this very test"}


async def _new_id(_: StandIns) -> str:
    return new_id()


async def _create_message(channel: grpc.aio.Channel, around: StandIns, seconds: float, message_id: str) -> None:
    message = history_pb.Message(
        conversation_id=new_id(), message_id=message_id, role=gen.ROLE_USER, text="A text that stays."
    )
    stub: Any = HistoryServiceStub(channel)
    request = history_pb.CreateMessageRequest(message=message)
    await stub.CreateMessage(request, timeout=seconds, metadata=around.signer.metadata("history", "ann"))


async def _get_no_message(channel: grpc.aio.Channel, around: StandIns, seconds: float) -> None:
    stub: Any = HistoryServiceStub(channel)
    metadata = around.signer.metadata("history", "ann")
    await stub.GetMessage(history_pb.GetMessageRequest(), timeout=seconds, metadata=metadata)


async def _create_conversation(
    channel: grpc.aio.Channel, around: StandIns, seconds: float, conversation_id: str
) -> None:
    conversation = metadata_pb.Conversation(conversation_id=conversation_id, model="fake", display_name="named")
    stub: Any = MetadataServiceStub(channel)
    request = metadata_pb.CreateConversationRequest(conversation=conversation)
    await stub.CreateConversation(request, timeout=seconds, metadata=around.signer.metadata("metadata", "ann"))


async def _get_no_conversation(channel: grpc.aio.Channel, around: StandIns, seconds: float) -> None:
    stub: Any = MetadataServiceStub(channel)
    metadata = around.signer.metadata("metadata", "ann")
    await stub.GetConversation(metadata_pb.GetConversationRequest(), timeout=seconds, metadata=metadata)


async def _create_account(channel: grpc.aio.Channel, around: StandIns, seconds: float, name: str) -> None:
    del around
    tokens: Any = TokenServiceStub(channel)
    wanted = tokens_pb.ExchangeTokenRequest(service="operator", service_secret=OPERATOR_SECRET, audience="auth")
    token = (await tokens.ExchangeToken(wanted, timeout=seconds)).token
    accounts: Any = AccountServiceStub(channel)
    request = accounts_pb.CreateAccountRequest(
        email=f"{name}@example.com", password="correct horse battery staple", display_name="Ann"
    )
    metadata = grpc.aio.Metadata(("authorization", f"Bearer {token}"))
    await accounts.CreateAccount(request, timeout=seconds, metadata=metadata)


async def _exchange_for_nobody(channel: grpc.aio.Channel, around: StandIns, seconds: float) -> None:
    del around
    tokens: Any = TokenServiceStub(channel)
    wanted = tokens_pb.ExchangeTokenRequest(service="operator", service_secret=OPERATOR_SECRET, audience="nobody")
    await tokens.ExchangeToken(wanted, timeout=seconds)


async def _new_conversation(around: StandIns) -> str:
    conversation_id = new_id()
    async with open_channel(around.addresses["metadata"]) as metadata:
        await _create_conversation(metadata, around, 5, conversation_id)
    return conversation_id


async def _send_message(channel: grpc.aio.Channel, around: StandIns, seconds: float, conversation_id: str) -> None:
    stub: Any = ConversationServiceStub(channel)
    request = conversation_pb.SendMessageRequest(
        conversation_id=conversation_id, text="say: hello", message_id=new_id(), reply_id=new_id()
    )
    await stub.SendMessage(request, timeout=seconds, metadata=around.signer.metadata("conversation", "ann"))


async def _send_nothing(channel: grpc.aio.Channel, around: StandIns, seconds: float) -> None:
    stub: Any = ConversationServiceStub(channel)
    metadata = around.signer.metadata("conversation", "ann")
    await stub.SendMessage(conversation_pb.SendMessageRequest(), timeout=seconds, metadata=metadata)


async def _migrate_auth(url: str) -> None:
    async with open_database(url, connections=1) as database:
        await database.migrate()


async def _nothing_to_migrate(_: str) -> None:
    """What Redis holds may vanish."""


SUBJECTS = (
    Subject(
        service="history",
        store="cassandra",
        place=cassandra_place,
        migrate=history.migrate,
        outgrown=outgrown_cassandra,
        locked=locked_cassandra,
        prepare=_new_id,
        write=_create_message,
        refuse=_get_no_message,
    ),
    Subject(
        service="metadata",
        store="mongodb",
        place=mongodb_place,
        migrate=metadata.migrate,
        outgrown=outgrown_mongodb,
        locked=locked,
        prepare=_new_id,
        write=_create_conversation,
        refuse=_get_no_conversation,
    ),
    Subject(
        service="auth",
        store="postgres",
        place=postgres_place,
        migrate=_migrate_auth,
        outgrown=outgrown_postgres,
        locked=locked,
        prepare=_new_id,
        write=_create_account,
        refuse=_exchange_for_nobody,
    ),
    Subject(
        service="conversation",
        store="redis",
        place=redis_place,
        migrate=_nothing_to_migrate,
        outgrown=None,
        locked=locked_redis,
        prepare=_new_conversation,
        write=_send_message,
        refuse=_send_nothing,
    ),
)


def known_subjects() -> list[Subject]:
    """Those whose server the tests know; the others are left out, or fail the test."""
    known = []
    for subject in SUBJECTS:
        with suppress(pytest.skip.Exception):
            server(subject.store)
            known.append(subject)
    if not known:
        pytest.skip("no server is named")
    return known
