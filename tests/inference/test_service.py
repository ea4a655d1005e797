"""InferenceService over a real socket, on the fake engine."""

import math
from collections.abc import AsyncIterator

import grpc
import pytest

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason, from_rpc
from services.inference.fake import FakeEngine, Pace
from tests.inference.serving import TIMEOUT, Served, ask, served

Call = grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]
LONG = gen.GenerationParameters(max_output_tokens=5000)


@pytest.fixture
async def inference() -> AsyncIterator[Served]:
    async with served(FakeEngine(slots=2, waiting=1)) as inference:
        yield inference


@pytest.fixture
async def steady() -> AsyncIterator[Served]:
    """An engine whose long replies take a minute."""
    async with served(FakeEngine(slots=2, waiting=1, pace=Pace(tokens_per_second=80))) as inference:
        yield inference


async def generate(inference: Served, request: pb.GenerateRequest) -> list[pb.GenerateResponse]:
    call = inference.stub.Generate(request, timeout=TIMEOUT, metadata=inference.account)
    try:
        return [response async for response in call]
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from error


def long_call(inference: Served) -> Call:
    return inference.stub.Generate(ask("words=5000", parameters=LONG), timeout=TIMEOUT, metadata=inference.account)


async def until(call: Call, kind: str) -> pb.GenerateResponse:
    """The call's next response of a kind."""
    while True:
        response = await call.read()
        assert isinstance(response, pb.GenerateResponse)
        if response.WhichOneof("event") == kind:
            return response


def text(responses: list[pb.GenerateResponse]) -> str:
    return "".join(response.delta.text for response in responses)


async def test_a_reply_is_streamed_and_ended(inference: Served) -> None:
    *deltas, end = await generate(inference, ask("say: Grüße, 世界 👋🏽"))
    assert text(deltas) == "Grüße, 世界 👋🏽"
    assert end.end.finish_reason == gen.FINISH_REASON_STOP
    assert end.end.usage.completion_tokens == sum(len(response.delta.token_ids) for response in deltas)


async def test_unset_parameters_are_the_deployments(inference: Served) -> None:
    unset = await generate(inference, ask("words=100"))
    assert unset[-1].end.finish_reason == gen.FINISH_REASON_LENGTH
    assert unset[-1].end.usage.completion_tokens == 50
    seeded = await generate(inference, ask("words=100", parameters=gen.GenerationParameters(seed=9)))
    assert text(seeded) == text(unset)
    zero = gen.GenerationParameters(temperature=0, seed=0, top_p=0.95, max_output_tokens=50)
    assert text(await generate(inference, ask("words=100", parameters=zero))) == text(unset)


async def test_a_reply_is_continued(inference: Served) -> None:
    whole = await generate(inference, ask("say: one, two, three"))
    emitted = [token for response in whole for token in response.delta.token_ids][:4]
    rest = await generate(inference, ask("say: one, two, three", emitted_token_ids=emitted))
    assert (rest[0].delta.token_offset, rest[0].delta.text_offset) == (4, 4)
    assert "one," + text(rest) == text(whole)
    assert rest[-1] == whole[-1]


async def test_cancelling_the_call_frees_the_slot(steady: Served) -> None:
    for _ in range(3):
        calls = [long_call(steady) for _ in range(2)]
        for call in calls:
            await until(call, "delta")
            call.cancel()
    await generate(steady, ask("words=3"))
    load = await steady.stub.GetLoad(pb.GetLoadRequest(), timeout=TIMEOUT, metadata=steady.account)
    assert (load.running, load.waiting, load.slots) == (0, 0, 2)


async def test_one_that_waits_is_told_so(steady: Served) -> None:
    running = [long_call(steady) for _ in range(2)]
    for call in running:
        await until(call, "delta")
    waiting = long_call(steady)
    assert (await until(waiting, "queued")).queued.queue_position == 0
    with pytest.raises(DomainError) as refused:
        await generate(steady, ask("hi"))
    assert refused.value.reason is Reason.ENGINE_OVERLOADED
    assert refused.value.retry_after
    running[0].cancel()
    await until(waiting, "delta")
    for call in (running[1], waiting):
        call.cancel()


BAD: dict[str, pb.GenerateRequest] = {
    "generation_id": ask("hi", ""),
    "model": ask("hi", model=""),
    "prompt": pb.GenerateRequest(generation_id="g", model="fake"),
    "chat.messages": pb.GenerateRequest(generation_id="g", model="fake", chat=pb.ChatPrompt()),
    "chat.messages[0].role": pb.GenerateRequest(
        generation_id="g", model="fake", chat=pb.ChatPrompt(messages=[pb.ChatMessage(text="x")])
    ),
    "chat.messages[0].text": ask("a\0b"),
    "tokens.token_ids": pb.GenerateRequest(
        generation_id="g", model="fake", tokens=pb.TokenPrompt(token_ids=[1, 4_000_000_000])
    ),
    "emitted_token_ids": ask("hi", emitted_token_ids=[256, 256]),
    "parameters.temperature": ask("hi", parameters=gen.GenerationParameters(temperature=math.nan)),
    "parameters.top_p": ask("hi", parameters=gen.GenerationParameters(top_p=0)),
    "parameters.max_output_tokens": ask("hi", parameters=gen.GenerationParameters(max_output_tokens=0)),
    "parameters.seed": ask("hi", parameters=gen.GenerationParameters(seed=-1)),
    "parameters.stop": ask("hi", parameters=gen.GenerationParameters(stop=["x" * 65])),
    "parameters.json_schema": ask("hi", parameters=gen.GenerationParameters(json_schema="x" * 65_537)),
    "parameters.top_logprobs": ask("hi", parameters=gen.GenerationParameters(top_logprobs=-1)),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_field_is_named(inference: Served, name: str) -> None:
    with pytest.raises(DomainError) as refused:
        await generate(inference, BAD[name])
    assert refused.value.reason is Reason.INVALID_ARGUMENT
    assert list(refused.value.fields) == [name]


async def test_all_bad_fields_are_named_at_once(inference: Served) -> None:
    bad = gen.GenerationParameters(temperature=3, top_p=1.1, max_output_tokens=-1, seed=-5, stop=["a"] * 5)
    with pytest.raises(DomainError) as refused:
        await generate(inference, ask("hi", parameters=bad))
    assert refused.value.fields.keys() == {
        f"parameters.{name}" for name in ("temperature", "top_p", "max_output_tokens", "seed", "stop")
    }


async def test_what_cannot_be_generated_is_refused(inference: Served) -> None:
    with pytest.raises(DomainError) as unknown:
        await generate(inference, ask("hi", model="gpt-9"))
    assert unknown.value.reason is Reason.MODEL_NOT_FOUND
    with pytest.raises(DomainError) as long:
        await generate(inference, ask("x" * 9000))
    assert long.value.reason is Reason.CONTEXT_LENGTH_EXCEEDED
    assert long.value.metadata == {"token_count": "9005", "max_output_tokens": "50", "context_length": "8192"}
    with pytest.raises(DomainError) as broken:
        await generate(inference, ask("fail=3"))
    assert broken.value.reason is Reason.ENGINE_FAILED


async def test_generating_needs_an_account(inference: Served) -> None:
    call = inference.stub.Generate(ask("hi"), timeout=TIMEOUT, metadata=inference.service)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert from_rpc(refused.value).reason is Reason.PERMISSION_DENIED


async def test_models_are_listed(inference: Served) -> None:
    answer = await inference.stub.ListModels(pb.ListModelsRequest(), timeout=TIMEOUT, metadata=inference.account)
    (model,) = answer.models
    assert (model.model_id, model.context_length, model.ready) == ("fake", 8192, True)


async def test_tokens_are_counted(inference: Served) -> None:
    request = pb.CountTokensRequest(model="fake", chat=ask("Grüße").chat)
    answer = await inference.stub.CountTokens(request, timeout=TIMEOUT, metadata=inference.service)
    assert (answer.token_count, list(answer.message_token_counts), answer.context_length) == (12, [10], 8192)
    for bad in (pb.CountTokensRequest(model="fake"), pb.CountTokensRequest(chat=request.chat)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await inference.stub.CountTokens(bad, timeout=TIMEOUT, metadata=inference.service)
        assert from_rpc(refused.value).reason is Reason.INVALID_ARGUMENT


async def test_a_paced_engine_streams_as_it_goes() -> None:
    async with served(FakeEngine(pace=Pace(tokens_per_second=200))) as inference:
        responses = await generate(inference, ask("words=40"))
        assert len(responses) > 5
