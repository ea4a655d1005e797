"""One inference replica as conversation sees it: one stream for all generations, judged alive by its progress."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import grpc

from parley.inference.v1 import inference_service_pb2 as pb
from parley.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.chassis.channel import Peer, open_channel
from services.chassis.errors import DomainError
from services.chassis.telemetry import log
from services.chassis.tokens import Tokens
from services.conversation.routing.estimate import tokens_of
from services.conversation.routing.generation import Generation, ReplicaLostError
from services.conversation.routing.refusals import Refusals

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 2.0
"""A stream that brings nothing for so long, not even a heartbeat, is dead."""
STREAM_SECONDS = 24 * 3600.0
RECONNECT_SECONDS = (0.1, 1.0)
"""The first and the longest pause before a dead stream is opened again."""
MAX_COMMANDS = 10_000
_EXPECTED = (grpc.aio.AioRpcError, asyncio.InvalidStateError, DomainError, TimeoutError)
"""What a replica that is away looks like."""


class Replica:
    """Use as a context manager; it connects, and connects again, while it is open."""

    def __init__(self, address: str, tokens: Tokens) -> None:
        self.address = address
        self.connected = False
        self.load: pb.GetLoadResponse | None = None
        """What it last said of itself; None until it does."""
        self.refusals = Refusals()
        self._channel = open_channel(address, idempotent=["parley.inference.v1.InferenceService"])
        self.peer = Peer("inference", self._channel, tokens)
        self.stub = InferenceServiceStub(self._channel)
        self._generations: dict[str, Generation] = {}
        self._broken = asyncio.Event()
        self._commands: asyncio.Queue[pb.GenerateManyRequest] = asyncio.Queue(MAX_COMMANDS)

    @property
    def in_flight_tokens(self) -> int:
        """Of the generations that this process has on the replica, prompts and replies together."""
        return sum(generation.tokens for generation in self._generations.values())

    @property
    def idle(self) -> bool:
        return not self._generations

    @property
    def draining(self) -> bool:
        return self.load is not None and self.load.draining

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._channel.close()

    @asynccontextmanager
    async def generate(self, request: pb.GenerateRequest) -> AsyncIterator[Generation]:
        """Starts a generation; leaving the block stops it if it has not ended."""
        if not self.connected or self._broken.is_set():
            raise ReplicaLostError
        generation = Generation(request.generation_id, tokens_of(request), self.send)
        self._generations[generation.generation_id] = generation
        self.send(pb.GenerateManyRequest(start=request))
        try:
            yield generation
        finally:
            if self._generations.pop(generation.generation_id, None):
                generation.cancel()

    def send(self, command: pb.GenerateManyRequest) -> None:
        try:
            self._commands.put_nowait(command)
        except asyncio.QueueFull:
            # It takes nothing any more: the stream is opened again, and who waits for it goes elsewhere.
            self._broken.set()
            self._lose_all()

    async def _run(self) -> None:
        pause = RECONNECT_SECONDS[0]
        while True:
            try:
                async for _ in self._responses():
                    pause = RECONNECT_SECONDS[0]
            except Exception as error:  # noqa: BLE001 - whatever it was, the replica may be back in a moment
                if self.connected or not isinstance(error, _EXPECTED):
                    log(logger, logging.WARNING, "replica lost", address=self.address, why=type(error).__name__)
            finally:
                self.connected = False
                self.load = None
                self._lose_all()
            await asyncio.sleep(pause)
            pause = min(pause * 2, RECONNECT_SECONDS[1])

    async def _responses(self) -> AsyncIterator[None]:
        """Opens a stream and hands out what it brings; one item for each response."""
        self._commands = asyncio.Queue(MAX_COMMANDS)
        self._broken.clear()
        call = self.stub.GenerateMany(metadata=await self.peer.metadata(None), timeout=STREAM_SECONDS)
        sending = asyncio.create_task(self._send_to(call, self._commands))
        try:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    response = await call.read()
                if not isinstance(response, pb.GenerateManyResponse):
                    return  # the end of the stream
                if self._broken.is_set():
                    return
                self.connected = True
                self._hand_out(response)
                yield
        finally:
            sending.cancel()
            call.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send_to(
        self,
        call: "grpc.aio.StreamStreamCall[pb.GenerateManyRequest, pb.GenerateManyResponse]",
        commands: "asyncio.Queue[pb.GenerateManyRequest]",
    ) -> None:
        while True:
            await call.write(await commands.get())

    def _hand_out(self, response: pb.GenerateManyResponse) -> None:
        if response.HasField("load"):
            self.load = response.load
        for event in response.events:
            if event.HasField("end") or event.HasField("failure"):
                generation = self._generations.pop(event.generation_id, None)
            else:
                generation = self._generations.get(event.generation_id)
            if generation:
                generation.add(event)

    def _lose_all(self) -> None:
        generations, self._generations = self._generations, {}
        for generation in generations.values():
            generation.lose()
