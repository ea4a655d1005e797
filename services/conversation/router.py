"""Which inference replica takes a reply, and what the replicas together can do."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.chassis.tokens import Tokens
from services.conversation.replica import Generation, Replica, ReplicaLostError

RETRY_SECONDS = 0.5
"""How soon they are asked again after nobody answered."""
MODELS_SECONDS = 10.0
"""How long the list of models is used without asking again. While nobody answers, the last one stays."""


class Router:
    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = replicas
        self._models: dict[str, pb.Model] = {}
        self._asked = float("-inf")
        self._asking = asyncio.Lock()

    @asynccontextmanager
    async def generate(self, request: pb.GenerateRequest) -> AsyncIterator[Generation]:
        """A generation on the least loaded replica. Raises ReplicaLostError where none is connected."""
        async with self._choose().generate(request) as generation:
            yield generation

    async def model(self, model_id: str) -> pb.Model:
        """A model that is ready (the default one for ""). Raises MODEL_NOT_FOUND, or UNAVAILABLE while none is."""
        models = await self._known_models()
        model = models.get(model_id) if model_id else next(iter(models.values()), None)
        if model is None:
            raise DomainError(Reason.MODEL_NOT_FOUND, "There is no such model.", metadata={"model": model_id})
        return model

    async def count_tokens(self, request: pb.CountTokensRequest) -> pb.CountTokensResponse:
        """The length of a prompt. Raises DomainError."""
        try:
            replica = self._choose()
        except ReplicaLostError:
            raise _nobody() from None
        return await replica.peer.call(replica.stub.CountTokens, request)

    async def check(self) -> None:
        """Raises UNAVAILABLE while no model is known to be ready."""
        await self._known_models()

    def _choose(self) -> Replica:
        connected = [replica for replica in self._replicas if replica.connected]
        if not connected:
            raise ReplicaLostError
        least = min(replica.load for replica in connected)
        return random.choice([replica for replica in connected if replica.load == least])  # noqa: S311 - ties

    async def _known_models(self) -> dict[str, pb.Model]:
        if time.monotonic() - self._asked > MODELS_SECONDS and not (self._models and self._asking.locked()):
            async with self._asking:
                if time.monotonic() - self._asked > MODELS_SECONDS:
                    await self._ask_for_models()
        if not self._models:
            raise _nobody()
        return self._models

    async def _ask_for_models(self) -> None:
        try:
            replica = self._choose()
            answer = await replica.peer.call(replica.stub.ListModels, pb.ListModelsRequest(), as_service=True)
        except (ReplicaLostError, DomainError):
            self._asked = time.monotonic() - MODELS_SECONDS + RETRY_SECONDS  # the last list stays
            return
        if ready := {model.model_id: model for model in answer.models if model.ready}:
            self._models = ready
            self._asked = time.monotonic()


@asynccontextmanager
async def open_router(addresses: Sequence[str], tokens: Tokens) -> AsyncIterator[Router]:
    async with AsyncExitStack() as opened:
        yield Router([await opened.enter_async_context(Replica(address, tokens)) for address in addresses])


def _nobody() -> DomainError:
    return DomainError(Reason.UNAVAILABLE, "No inference replica answers.", retry_after=2)
