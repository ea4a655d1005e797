"""What callers learn of a server's load, and what it refuses: over a real socket, on the fake engine."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import Reason, from_rpc, from_status
from services.inference.admission import Limits
from services.inference.fake import FakeEngine, Pace
from tests.inference.serving import TIMEOUT, Served, ask, served

LONG = gen.GenerationParameters(max_output_tokens=5000)
TALK = "a stone is on the hill " * 20


@pytest.fixture
async def inference() -> AsyncIterator[Served]:
    """An engine whose long replies take a minute."""
    async with served(FakeEngine(slots=1, waiting=4, pace=Pace(tokens_per_second=80))) as inference:
        yield inference


Stream = grpc.aio.StreamStreamCall[pb.GenerateManyRequest, pb.GenerateManyResponse]


async def read(stream: Stream) -> pb.GenerateManyResponse:
    async with asyncio.timeout(TIMEOUT):
        response = await stream.read()
    assert isinstance(response, pb.GenerateManyResponse)
    return response


async def event(stream: Stream, generation_id: str, kind: str) -> pb.GenerationEvent:
    """The next event of a kind of a generation; what else its response brought is dropped."""
    while True:
        for each in (await read(stream)).events:
            if each.generation_id == generation_id and each.WhichOneof("event") == kind:
                return each


async def start(stream: Stream, text: str, generation_id: str, tenant: str = "default", **parts: object) -> None:
    request = ask(text, generation_id, model="fake", **parts)
    request.owner.tenant_id = tenant
    await stream.write(pb.GenerateManyRequest(start=request))


def open_stream(inference: Served) -> Stream:
    return inference.stub.GenerateMany(timeout=TIMEOUT, metadata=inference.service)


async def end(stream: Stream, text: str, tenant: str) -> gen.TokenUsage:
    """What a reply to a text took."""
    await start(stream, text, tenant, tenant)
    return (await event(stream, tenant, "end")).end.usage


async def test_the_stream_tells_its_load_when_it_changed_and_in_silence(inference: Served) -> None:
    stream = open_stream(inference)
    idle = await read(stream)
    assert (len(idle.events), idle.HasField("load")) == (0, True)
    assert (idle.load.running, idle.load.slots, idle.load.pending_prompt_tokens_limit) == (0, 1, 65_536)
    await start(stream, "words=5000", "a", parameters=LONG)
    response = await read(stream)
    while not response.load.running:
        response = await read(stream)
    assert response.load.cached_tokens > 0
    stream.cancel()


async def test_those_that_wait_count_with_their_prompts(inference: Served) -> None:
    stream = open_stream(inference)
    await start(stream, "words=5000", "a", parameters=LONG)
    await event(stream, "a", "delta")
    await start(stream, TALK, "b")
    assert (await event(stream, "b", "queued")).queued.queue_position == 0
    load = await inference.stub.GetLoad(pb.GetLoadRequest(), timeout=TIMEOUT, metadata=inference.service)
    assert (load.running, load.waiting) == (1, 1)
    assert load.pending_prompt_tokens > 100
    stream.cancel()


async def test_a_server_that_is_about_to_end_says_so(inference: Served) -> None:
    stream = open_stream(inference)
    assert not (await read(stream)).load.draining
    inference.drain()
    assert (await read(stream)).load.draining
    load = await inference.stub.GetLoad(pb.GetLoadRequest(), timeout=TIMEOUT, metadata=inference.account)
    assert load.draining
    await start(stream, "say: still here", "a")
    await event(stream, "a", "end")
    stream.cancel()


async def test_a_prompt_that_comes_again_costs_less_and_only_its_own_tenant() -> None:
    async with served(FakeEngine(slots=2)) as inference:
        stream = open_stream(inference)
        first, again, stranger = [await end(stream, TALK, tenant) for tenant in ("a", "a", "b")]
        assert (first.cached_prompt_tokens, stranger.cached_prompt_tokens) == (0, 0)
        assert first.prompt_tokens - 32 <= again.cached_prompt_tokens < first.prompt_tokens
        call = inference.stub.Generate(ask(TALK), timeout=TIMEOUT, metadata=inference.account)
        *_, last = [response async for response in call]
        assert last.end.usage.cached_prompt_tokens == 0, "the caller's tenant is another"
        stream.cancel()


async def test_more_prompts_than_may_wait_are_refused_and_told_when_to_come_again() -> None:
    limits = Limits(pending_prompt_tokens=300)
    async with served(FakeEngine(slots=1, limits=limits, pace=Pace(tokens_per_second=80))) as inference:
        stream = open_stream(inference)
        await start(stream, "words=5000", "running", parameters=LONG)
        await event(stream, "running", "delta")
        for name in "ab":
            await start(stream, TALK, name)
        failure = from_status((await event(stream, "b", "failure")).failure)
        assert (failure.reason, failure.retry_after is not None) == (Reason.ENGINE_OVERLOADED, True)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await inference.stub.Generate(ask(TALK), timeout=TIMEOUT, metadata=inference.account).read()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert from_rpc(refused.value).retry_after
        stream.cancel()


async def test_batch_ones_wait_for_interactive_ones(inference: Served) -> None:
    stream = open_stream(inference)
    await start(stream, "words=5000", "batch", parameters=LONG, priority=pb.PRIORITY_BATCH)
    await event(stream, "batch", "delta")
    await start(stream, "say: quick", "interactive")
    await event(stream, "interactive", "end")
    assert (await event(stream, "batch", "delta")).delta.token_offset > 0
    stream.cancel()
