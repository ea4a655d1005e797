"""Which inference replica takes a reply, and what the replicas together can do."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.conversation.routing.asked import turn_of
from services.conversation.routing.fleet import Fleet
from services.conversation.routing.generation import Generation, ReplicaLostError
from services.conversation.routing.policy import Policy, Standing
from services.conversation.routing.refusals import line_of
from services.conversation.routing.replica import Replica

RETRY_SECONDS = 0.5
"""How soon they are asked again after nobody answered."""
MODELS_SECONDS = 10.0
"""How long the list of models is used without asking again. While nobody answers, the last one stays."""
LEFT_ALONE_SECONDS = (0.25, 30.0)
"""A replica that failed or refused gets nothing new for as long as it asks, within these."""
JITTER = 0.5
"""Those who wait for the same replica come back over so much more of the time, not all at once."""

_FULL = {Reason.ENGINE_OVERLOADED, Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED}
"""What another replica may do."""


class Router:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._draw = random.Random()  # noqa: S311 - ties
        self._policy = Policy(self._draw)
        self._models: dict[str, pb.Model] = {}
        self._asked = float("-inf")
        self._asking = asyncio.Lock()

    @asynccontextmanager
    async def generate(self, request: pb.GenerateRequest, conversation_id: str = "") -> AsyncIterator[Generation]:
        """A generation on the replica that knows the conversation, or on another where that one has too much to do.

        A replica that fails is left alone for a while, and one that refuses by the tenant's requests of that priority,
        so that the next attempt goes to another. Raises
        ReplicaLostError where none is connected, and ENGINE_OVERLOADED while all are left alone.
        """
        replica = self._choose(request, conversation_id)
        try:
            async with replica.generate(request) as generation:
                yield generation
        except ReplicaLostError:
            replica.refusals.refuse(LEFT_ALONE_SECONDS[0], None)
            raise
        except DomainError as error:
            if error.reason in _FULL:
                seconds = min(max(error.retry_after or 0, LEFT_ALONE_SECONDS[0]), LEFT_ALONE_SECONDS[1])
                # What is too much of one tenant, or of no hurry, says nothing of the others.
                line = line_of(request) if error.reason is Reason.ENGINE_OVERLOADED else None
                replica.refusals.refuse(seconds, line)
            raise

    def opens_in(self, request: pb.GenerateRequest) -> float:
        """Seconds after which another attempt may find a replica: 0 where one takes such requests now."""
        connected = self._connected()
        if not connected:
            return LEFT_ALONE_SECONDS[0]
        until = min(replica.refusals.until(line_of(request)) for replica in connected)
        return max(0.0, until - time.monotonic()) * self._draw.uniform(1, 1 + JITTER)

    async def model(self, model_id: str) -> pb.Model:
        """A model that is ready (the default one for ""). Raises MODEL_NOT_FOUND, or UNAVAILABLE while none is."""
        models = await self._known_models()
        model = models.get(model_id) if model_id else next(iter(models.values()), None)
        if model is None:
            raise DomainError(Reason.MODEL_NOT_FOUND, "There is no such model.", metadata={"model": model_id})
        return model

    async def count_tokens(self, request: pb.CountTokensRequest) -> pb.CountTokensResponse:
        """The length of a prompt. Raises DomainError."""
        replica = self._any()
        return await replica.peer.call(replica.stub.CountTokens, request)

    async def check(self) -> None:
        """Raises UNAVAILABLE while no model is known to be ready."""
        await self._known_models()

    def _connected(self) -> list[Replica]:
        """Those that may be given something new, now or later."""
        return [replica for replica in self._fleet.replicas if replica.connected and not replica.draining]

    def _choose(self, request: pb.GenerateRequest, conversation_id: str) -> Replica:
        connected = self._connected()
        if not connected:
            raise ReplicaLostError
        now, line, turn = time.monotonic(), line_of(request), turn_of(request, conversation_id)
        open_ = {replica.address: replica for replica in connected if replica.refusals.until(line) <= now}
        if not open_:
            message = "Every inference replica has too much to do."
            raise DomainError(Reason.ENGINE_OVERLOADED, message, retry_after=self.opens_in(request))
        return open_[self._policy.choose(turn, [_standing(replica) for replica in open_.values()], now)]

    def _any(self) -> Replica:
        """One for a question, which also those answer that take no turns. Raises UNAVAILABLE."""
        connected = [replica for replica in self._fleet.replicas if replica.connected]
        if not connected:
            raise _nobody()
        return self._draw.choice(connected)

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
            replica = self._any()
            answer = await replica.peer.call(replica.stub.ListModels, pb.ListModelsRequest(), as_service=True)
        except DomainError:
            self._asked = time.monotonic() - MODELS_SECONDS + RETRY_SECONDS  # the last list stays
            return
        if ready := {model.model_id: model for model in answer.models if model.ready}:
            self._models = ready
            self._asked = time.monotonic()


def _standing(replica: Replica) -> Standing:
    load = replica.load or pb.GetLoadResponse()
    return Standing(
        replica.address,
        replica.in_flight_tokens,
        load.pending_prompt_tokens,
        load.pending_prompt_tokens_limit,
        load.expected_wait.ToTimedelta().total_seconds(),
    )


def _nobody() -> DomainError:
    return DomainError(Reason.UNAVAILABLE, "No inference replica answers.", retry_after=2)
