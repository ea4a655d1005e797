"""Parley's engine as others measure it: in the engine's own process, and over gRPC as the mesh does."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from sys import executable
from typing import Any

import grpc
from google.rpc.status_pb2 import Status

from benchmarks.engine.child import Child, child
from benchmarks.engine.plan import CONTEXT_TOKENS, TEMPERATURE, TOP_P
from benchmarks.engine.replies import RefusedError, Reply, from_json, together
from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from parley.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.chassis.channel import open_channel
from services.inference.bundled import MODEL_ID

STREAM_SECONDS = 3600.0
OWNER = pb.GenerationOwner(tenant_id="bench", account_id="bench")

Arrival = tuple[float, pb.GenerationEvent]
"""When, and what."""


class InProcess:
    name = "Parley"
    rounds = 1000
    most_tokens = CONTEXT_TOKENS
    turns = True

    def __init__(self, engine: Child, about: dict[str, Any]) -> None:
        self._engine, self.about = engine, about

    async def replies(self, prompts: Sequence[list[int]], tokens: int, *, reuse: bool = False) -> list[Reply]:
        """What it keeps of earlier prompts it always uses: `reuse` is in the prompts."""
        del reuse
        return from_json(await self._engine.ask(ask="replies", prompts=prompts, tokens=tokens))

    async def stop_seconds(self, prompts: Sequence[list[int]]) -> list[float]:
        """Lets replies to the prompts begin and cancels each: seconds until it said that its slot is free."""
        seconds: list[float] = await self._engine.ask(ask="stop", prompts=prompts)
        return seconds


class OverGrpc:
    """One stream for everything, as between a pair of processes of the mesh."""

    name = "Parley over gRPC"
    rounds = 1000
    most_tokens = CONTEXT_TOKENS
    turns = True

    def __init__(self, call: Any, about: dict[str, Any]) -> None:
        self._call, self.about = call, about
        self._numbers, self._broken = itertools.count(), ""
        self._writing = asyncio.Lock()
        self._events: dict[str, asyncio.Queue[Arrival]] = {}

    async def read(self) -> None:
        """Hands out what comes, until it is cancelled; a stream that breaks fails what runs on it."""
        try:
            async for response in self._call:
                now = time.perf_counter()
                for event in response.events:
                    if event.generation_id in self._events:  # one that was cancelled is not waited for
                        self._events[event.generation_id].put_nowait((now, event))
        except grpc.aio.AioRpcError as error:
            self._broken = f"The stream broke: {error.details() or error.code().name}"
            broken = pb.GenerationEvent(failure=Status(message=self._broken))
            for events in self._events.values():
                events.put_nowait((time.perf_counter(), broken))

    async def replies(self, prompts: Sequence[list[int]], tokens: int, *, reuse: bool = False) -> list[Reply]:
        del reuse
        began = time.perf_counter()
        return await together(self._reply(prompt, tokens, began) for prompt in prompts)

    async def _reply(self, prompt: list[int], tokens: int, began: float) -> Reply:
        if self._broken:
            raise RuntimeError(self._broken)
        number = next(self._numbers)
        name = str(number)
        self._events[name] = asyncio.Queue()
        parameters = gen.GenerationParameters(
            temperature=TEMPERATURE, top_p=TOP_P, max_output_tokens=tokens, seed=number
        )
        start = pb.GenerateRequest(
            generation_id=name,
            model=MODEL_ID,
            tokens=pb.TokenPrompt(token_ids=prompt),
            parameters=parameters,
            owner=OWNER,
        )
        await self._write(pb.GenerateManyRequest(start=start))
        try:
            return await self._read_reply(self._events[name], began)
        except asyncio.CancelledError:
            await self._write(pb.GenerateManyRequest(cancel=pb.CancelGeneration(generation_id=name)))
            raise
        finally:
            del self._events[name]

    async def _write(self, request: pb.GenerateManyRequest) -> None:
        async with self._writing:
            await self._call.write(request)

    async def _read_reply(self, events: "asyncio.Queue[Arrival]", began: float) -> Reply:
        ids: list[int] = []
        times: list[float] = []
        while True:
            came, event = await events.get()
            ids += event.delta.token_ids
            times += [came - began] * len(event.delta.token_ids)
            if event.HasField("failure"):
                raise RuntimeError(self._broken) if self._broken else RefusedError(event.failure.message)
            if event.HasField("end"):
                return Reply(tuple(ids), tuple(times))


@asynccontextmanager
async def parley(slots: int, log: Path) -> AsyncIterator[tuple[InProcess, OverGrpc]]:
    """One engine, asked in both ways."""
    async with child(executable, "benchmarks.engine.parley", log, str(slots)) as (engine, ready):
        metadata = grpc.aio.Metadata(("authorization", f"Bearer {ready.pop('token')}"))
        async with open_channel(f"127.0.0.1:{ready.pop('port')}") as channel, asyncio.TaskGroup() as tasks:
            call = InferenceServiceStub(channel).GenerateMany(timeout=STREAM_SECONDS, metadata=metadata)
            over_grpc = OverGrpc(call, ready)
            reading = tasks.create_task(over_grpc.read())
            yield InProcess(engine, ready), over_grpc
            reading.cancel()
