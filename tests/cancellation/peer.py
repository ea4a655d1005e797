"""Messages on a shelf behind gRPC: one channel that every account's calls go through, as between two services."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from parley.history.v1 import history_service_pb2 as pb
from parley.history.v1.history_service_pb2_grpc import HistoryServiceStub, add_HistoryServiceServicer_to_server
from parley.inference.v1 import generation_pb2 as gen
from services.chassis.channel import Peer, open_channel
from services.chassis.config import ServiceSettings
from services.chassis.door import Door
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller, acting_for
from services.chassis.server import Server
from services.chassis.tokens import Tokens
from services.history.service import HistoryService
from services.history.stores import open_store
from tests.cancellation.shelf import Backend, Shelf
from tests.identity import Signer

SOME = 5


class Stamps:
    """Tokens, without auth."""

    def __init__(self, signer: Signer, service: str) -> None:
        self._signer, self._service = signer, service

    async def token(self, audience: str, who: Caller | None) -> str:
        return self._signer.token(audience, who.account_id if who else "", service=self._service)


class PeerShelf:
    def __init__(self, peer: Peer) -> None:
        self._peer, self._stub = peer, HistoryServiceStub(peer.channel)

    async def check(self) -> None:
        """A peer is called, and not asked before."""

    async def put(self, owner: str, key: str, value: str) -> None:
        message = pb.Message(conversation_id=owner, message_id=key, role=gen.ROLE_USER, text=value)
        with acting_for(_account(owner)):
            await self._peer.call(self._stub.CreateMessage, pb.CreateMessageRequest(message=message))

    async def get(self, owner: str, key: str) -> str | None:
        request = pb.GetMessageRequest(conversation_id=owner, message_id=key)
        with acting_for(_account(owner)):
            try:
                return (await self._peer.call(self._stub.GetMessage, request)).message.text
            except DomainError as error:
                if error.reason is Reason.NOT_FOUND:
                    return None
                raise

    async def some(self, owner: str) -> Mapping[str, str]:
        request = pb.ListMessagesRequest(conversation_id=owner, page_size=SOME)
        with acting_for(_account(owner)):
            answer = await self._peer.call(self._stub.ListMessages, request)
        return {message.message_id: message.text for message in answer.messages}


def _account(owner: str) -> Caller:
    return Caller("edge", "default", owner)


@asynccontextmanager
async def history_behind_grpc(folder: Path) -> AsyncIterator[Backend]:
    signer = Signer()
    descriptor = pb.DESCRIPTOR.services_by_name["HistoryService"]

    @asynccontextmanager
    async def opened(port: int) -> AsyncIterator[Shelf]:
        async with open_channel(f"127.0.0.1:{port}", ["parley.history.v1.HistoryService"]) as channel:
            yield PeerShelf(Peer("history", channel, cast("Tokens", Stamps(signer, "edge"))))

    async with open_store(f"sqlite:///{folder}/history.sqlite") as store:
        service = HistoryService(store)
        server = Server(
            ServiceSettings(),
            Door("history", signer),
            {descriptor: lambda server: add_HistoryServiceServicer_to_server(service, server)},
        )
        async with server:
            yield Backend(opened, [("127.0.0.1", server.port)], connections=1)
