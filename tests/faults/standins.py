"""What a service under test calls: auth as a stand-in that believes everybody, the others as they are, on files."""
# ruff: noqa: N802 - methods have the names of the contract

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor

from parley.auth.v1 import token_service_pb2 as tokens_pb
from parley.auth.v1 import usage_service_pb2 as usage_pb
from parley.auth.v1.token_service_pb2_grpc import TokenServiceServicer, add_TokenServiceServicer_to_server
from parley.auth.v1.usage_service_pb2_grpc import UsageServiceServicer, add_UsageServiceServicer_to_server
from parley.history.v1 import history_service_pb2 as history_pb
from parley.history.v1.history_service_pb2_grpc import add_HistoryServiceServicer_to_server
from parley.inference.v1 import inference_service_pb2 as inference_pb
from parley.inference.v1.inference_service_pb2_grpc import add_InferenceServiceServicer_to_server
from parley.metadata.v1 import metadata_service_pb2 as metadata_pb
from parley.metadata.v1.metadata_service_pb2_grpc import add_MetadataServiceServicer_to_server
from services.chassis.config import ServiceSettings
from services.chassis.door import Door
from services.chassis.identity import caller, verify_inner
from services.chassis.server import Server
from services.history import stores as history
from services.history.service import HistoryService
from services.inference.fake import FakeEngine
from services.inference.service import InferenceService
from services.metadata import stores as metadata
from services.metadata.service import MetadataService
from tests.edge.state import public_bytes
from tests.identity import KEY_ID, Signer
from tests.inference.generations import parameters
from tests.inference.running import running

TOKEN_SECONDS = 600
GENERATIONS = 100
OPEN_METHODS = frozenset({"/parley.auth.v1.TokenService/ExchangeToken", "/parley.auth.v1.TokenService/ListSigningKeys"})

Register = Callable[[Any, grpc.aio.Server], None]


class StandInTokens(TokenServiceServicer):
    def __init__(self, signer: Signer, reservations: dict[str, str]) -> None:
        self._signer, self._reservations = signer, reservations

    async def ListSigningKeys(self, request: tokens_pb.ListSigningKeysRequest, context: Any) -> Any:  # noqa: ARG002
        key = tokens_pb.SigningKey(key_id=KEY_ID, public_key=public_bytes(self._signer))
        return tokens_pb.ListSigningKeysResponse(keys=[key])

    async def ExchangeToken(self, request: tokens_pb.ExchangeTokenRequest, context: Any) -> Any:  # noqa: ARG002
        match request.WhichOneof("subject"):
            case "subject_token":
                account_id = (await verify_inner(request.subject_token, request.service, self._signer)).account_id
            case "reservation_id":
                account_id = self._reservations[request.reservation_id]
            case None:
                account_id = ""
        token = self._signer.token(request.audience, account_id, service=request.service, lifetime=TOKEN_SECONDS)
        answer = tokens_pb.ExchangeTokenResponse(token=token)
        answer.expire_time.FromSeconds(int(time.time()) + TOKEN_SECONDS)
        return answer


class StandInUsage(UsageServiceServicer):
    def __init__(self, reservations: dict[str, str]) -> None:
        self._reservations = reservations

    async def ReserveUsage(self, request: usage_pb.ReserveUsageRequest, context: Any) -> Any:  # noqa: ARG002
        self._reservations[request.reservation_id] = caller().require_account()
        return usage_pb.ReserveUsageResponse()

    async def SettleUsage(self, request: usage_pb.SettleUsageRequest, context: Any) -> Any:  # noqa: ARG002
        return usage_pb.SettleUsageResponse()

    async def ReleaseUsage(self, request: usage_pb.ReleaseUsageRequest, context: Any) -> Any:  # noqa: ARG002
        return usage_pb.ReleaseUsageResponse()


@dataclass(frozen=True, slots=True)
class StandIns:
    signer: Signer
    """Signs the tokens that all of them believe."""
    addresses: Mapping[str, str]


@asynccontextmanager
async def standing_in(folder: Path) -> AsyncIterator[StandIns]:
    signer = Signer()
    reservations: dict[str, str] = {}
    addresses: dict[str, str] = {}
    async with AsyncExitStack() as opened:

        async def serve(name: str, *services: tuple[FileDescriptor, Register, Any]) -> None:
            known = {
                descriptor: functools.partial(register, servicer)
                for file, register, servicer in services
                for descriptor in file.services_by_name.values()
            }
            server = Server(ServiceSettings(), Door(name, signer, OPEN_METHODS), known)
            await opened.enter_async_context(server)
            addresses[name] = f"127.0.0.1:{server.port}"

        engine = await opened.enter_async_context(running(FakeEngine()))
        messages = await opened.enter_async_context(history.open_store(f"sqlite:///{folder}/history.sqlite"))
        rows = await opened.enter_async_context(metadata.open_store(f"sqlite:///{folder}/metadata.sqlite"))
        # Their other methods answer UNIMPLEMENTED.
        tokens = StandInTokens(signer, reservations)  # type: ignore[abstract]
        usage = StandInUsage(reservations)  # type: ignore[abstract]
        await serve(
            "auth",
            (tokens_pb.DESCRIPTOR, add_TokenServiceServicer_to_server, tokens),
            (usage_pb.DESCRIPTOR, add_UsageServiceServicer_to_server, usage),
        )
        await serve("history", (history_pb.DESCRIPTOR, add_HistoryServiceServicer_to_server, HistoryService(messages)))
        await serve(
            "metadata", (metadata_pb.DESCRIPTOR, add_MetadataServiceServicer_to_server, MetadataService(rows, 50))
        )
        inference = InferenceService(engine, parameters(), GENERATIONS)
        await serve("inference", (inference_pb.DESCRIPTOR, add_InferenceServiceServicer_to_server, inference))
        yield StandIns(signer, addresses)
