"""Runs Parley's engine: `python -m benchmarks.engine.parley SLOTS`. It is asked in its own process, and served by gRPC.

Configured as a deployment's would be, but for the slots and the context.
"""

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from importlib.metadata import version
from typing import Any

import torch

from benchmarks.engine.child import answer_all, say
from benchmarks.engine.plan import CONTEXT_TOKENS, TEMPERATURE, TOP_P
from benchmarks.engine.replies import Reply, to_json, together
from parley.inference.v1 import inference_service_pb2 as pb
from parley.inference.v1.inference_service_pb2_grpc import add_InferenceServiceServicer_to_server
from services.chassis.config import ServiceSettings
from services.chassis.door import Door
from services.chassis.server import Server
from services.inference.__main__ import make_engine
from services.inference.batch_engine import BatchEngine
from services.inference.bundled import MODEL_ID
from services.inference.config import Config
from services.inference.engine import Cancel, Delta, End, Engine, Event, Failed, Parameters, Request
from services.inference.outbox import follow
from services.inference.service import InferenceService
from tests.identity import Signer
from tests.inference.running import running

TENANT = "bench"
TOKEN_SECONDS = 3600.0
LONG_TOKENS = 512
"""Of replies that are cancelled."""


def request(prompt: Sequence[int], tokens: int, seed: int) -> Request:
    return Request(MODEL_ID, tuple(prompt), Parameters(TEMPERATURE, TOP_P, tokens, (), seed), tenant=TENANT)


async def reply(engine: Engine, prompt: Sequence[int], tokens: int, seed: int, began: float) -> Reply:
    ids: list[int] = []
    times: list[float] = []
    async with aclosing(follow(engine, request(prompt, tokens, seed))) as events:
        async for event in events:
            if isinstance(event, Delta):
                ids += event.token_ids
                times += [time.perf_counter() - began] * len(event.token_ids)
    return Reply(tuple(ids), tuple(times))


class Stopped:
    """A generation that is cancelled while it runs."""

    def __init__(self) -> None:
        self.cancel: Cancel = lambda: None
        self.runs = asyncio.Event()
        self.ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def put(self, event: Event) -> None:
        if isinstance(event, Delta):
            self.runs.set()
        elif isinstance(event, End | Failed):
            self.runs.set()
            self.ended.set_result(time.perf_counter())


async def stop_seconds(engine: Engine, prompts: Sequence[Sequence[int]]) -> list[float]:
    """From each cancel to the end that says that the slot is free; the others go on meanwhile."""
    stopped = [Stopped() for _ in prompts]
    seconds = []
    with ExitStack() as cancels:
        for seed, (prompt, each) in enumerate(zip(prompts, stopped, strict=True)):
            each.cancel = await engine.start(request(prompt, LONG_TOKENS, seed), each.put)
            cancels.callback(each.cancel)
        for each in stopped:
            await each.runs.wait()
        for each in stopped:
            await asyncio.sleep(random.random() / 20)  # at any place of a step
            asked = time.perf_counter()
            each.cancel()
            seconds.append(max(0.0, await each.ended - asked))
    return seconds


def describe(engine: BatchEngine) -> dict[str, Any]:
    loaded = engine._loaded  # noqa: SLF001 - how it keeps its weights is nobody else's business
    assert loaded
    parts = vars(loaded.model)
    if "_job" in parts:
        matrices = [each.weights for each in parts["_job"].weights if hasattr(each, "scales")]
    else:
        [module] = [each for each in parts.values() if isinstance(each, torch.nn.Module)]
        matrices = [each.detach().numpy() for each in module.parameters()]
    kind, weight_bytes = matrices[0].dtype.name, sum(each.nbytes for each in matrices)
    return {"version": version("parley"), "weights": kind, "weight_bytes": weight_bytes}


async def main(slots: int) -> None:
    config = Config(
        auth_address="127.0.0.1:1",
        service_secret="of nobody, for none is asked",
        slots=slots,
        max_context_length=CONTEXT_TOKENS,
        cache_tokens=slots * CONTEXT_TOKENS,
    )
    engine, signer = make_engine(config), Signer()
    assert isinstance(engine, BatchEngine)
    service = InferenceService(engine, Parameters(TEMPERATURE, TOP_P, LONG_TOKENS, (), 0), slots)
    descriptor = pb.DESCRIPTOR.services_by_name["InferenceService"]
    server = Server(
        ServiceSettings(listen="127.0.0.1:0"),
        Door("inference", signer),
        {descriptor: lambda server: add_InferenceServiceServicer_to_server(service, server)},
    )
    seeds = iter(range(sys.maxsize))

    async def answer(question: dict[str, Any]) -> Any:
        if question["ask"] == "stop":
            return await stop_seconds(engine, question["prompts"])
        began, tokens = time.perf_counter(), question["tokens"]
        replies = [reply(engine, prompt, tokens, next(seeds), began) for prompt in question["prompts"]]
        return to_json(await together(replies))

    async with running(engine), server:
        await engine.wait_ready()
        token = signer.token("inference", service="conversation", lifetime=TOKEN_SECONDS)
        say({"port": server.port, "token": token, **describe(engine)})
        await answer_all(answer)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
