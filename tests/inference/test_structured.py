"""Replies that are kept to a schema, and how likely their tokens were, by a real model and through the real door."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import validate

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason, from_rpc
from services.inference.admission import Bounds
from services.inference.batch_engine import BatchEngine, Loaded
from services.inference.engine import FinishReason, Request
from services.inference.fake import FakeEngine
from tests.inference.conftest import CACHE_TOKENS
from tests.inference.generations import chat, parameters
from tests.inference.generations import generate as engine_generate
from tests.inference.running import running
from tests.inference.schemas import Schema, schemas
from tests.inference.serving import TIMEOUT, Served, ask, served

BOUNDS = Bounds(4, 8, CACHE_TOKENS, 64)
COLOUR = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green", "ebony"]}, "shades": {"type": "array", "maxItems": 3}},
    "required": ["colour", "shades"],
    "additionalProperties": False,
}


@pytest.fixture
async def inference(tiny: Loaded) -> AsyncIterator[Served]:
    async with served(BatchEngine("tiny", lambda: tiny, BOUNDS)) as inference:
        yield inference


class Reply:
    def __init__(self, responses: list[pb.GenerateResponse]) -> None:
        deltas = [response.delta for response in responses]
        self.text = "".join(delta.text for delta in deltas)
        self.tokens = [token for delta in deltas for token in delta.token_ids]
        self.logprobs = [each for delta in deltas for each in delta.logprobs]
        self.end = responses[-1].end


async def generate(
    inference: Served, text: str = "What is it?", emitted: list[int] | None = None, **chosen: object
) -> Reply:
    parameters = gen.GenerationParameters(**{"temperature": 0.9, "max_output_tokens": 200, **chosen})  # type: ignore[arg-type]
    model = inference.engine.models()[0].model_id
    asked = ask(text, model=model, parameters=parameters, emitted_token_ids=emitted or [])
    call = inference.stub.Generate(asked, timeout=TIMEOUT, metadata=inference.account)
    try:
        return Reply([response async for response in call])
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from error


def ended_as(one: Reply, other: Reply) -> bool:
    reasons = one.end.finish_reason == other.end.finish_reason
    return reasons and one.end.usage.completion_tokens == other.end.usage.completion_tokens


async def test_a_reply_conforms_to_its_schema_wherever_it_is_continued(inference: Served) -> None:
    ended = 0
    for seed in range(3):
        whole = await generate(inference, json_schema=json.dumps(COLOUR), seed=seed)
        for split in range(1, len(whole.tokens), 17):
            rest = await generate(inference, emitted=whole.tokens[:split], json_schema=json.dumps(COLOUR), seed=seed)
            assert rest.tokens == whole.tokens[split:]
            assert ended_as(rest, whole)
        if whole.end.finish_reason == gen.FINISH_REASON_STOP:
            validate(json.loads(whole.text), COLOUR)
            ended += 1
    assert ended


async def test_neighbours_without_a_schema_reply_as_they_would_alone(inference: Served) -> None:
    alone = await generate(inference, "Tell me.", seed=3)
    kept, free = await asyncio.gather(
        generate(inference, json_schema=json.dumps(COLOUR), seed=1), generate(inference, "Tell me.", seed=3)
    )
    assert free.tokens == alone.tokens
    assert kept.text.startswith("{")


async def test_the_bound_of_tokens_cuts_a_value(inference: Served) -> None:
    reply = await generate(inference, json_schema=json.dumps(COLOUR), max_output_tokens=3)
    assert (reply.end.finish_reason, reply.end.usage.completion_tokens) == (gen.FINISH_REASON_LENGTH, 3)


REFUSED = {
    "parameters.json_schema": {"json_schema": '{"not": {}}'},
    "parameters.stop": {"json_schema": "{}", "stop": ["x"]},
    "emitted_token_ids": {"json_schema": "{}", "emitted": [1]},
    "parameters.top_logprobs": {"top_logprobs": 21},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_kept_to_is_refused_by_field_and_starts_nothing(inference: Served, name: str) -> None:
    with pytest.raises(DomainError) as refused:
        await generate(inference, **REFUSED[name])  # type: ignore[arg-type]
    assert refused.value.reason is Reason.INVALID_ARGUMENT
    assert list(refused.value.fields) == [name]
    load = inference.engine.load()
    assert (load.running, load.waiting) == (0, 0)


async def test_a_schema_that_grows_too_complex_ends_its_reply_and_no_other(inference: Served) -> None:
    # Its automaton has more states than may be followed, and says so only on the way.
    schema = json.dumps({"type": "string", "pattern": "^(([a-z0-9]+.)*){1,200}$", "minLength": 150})
    staying = asyncio.create_task(generate(inference, "Tell me.", seed=3))
    with pytest.raises(DomainError) as failed:
        await generate(inference, json_schema=schema, temperature=2, top_p=1)
    assert failed.value.reason is Reason.INVALID_ARGUMENT
    assert list(failed.value.fields) == ["parameters.json_schema"]
    assert (await staying).tokens == (await generate(inference, "Tell me.", seed=3)).tokens


@given(schema=schemas, seed=st.integers(0, 2**31 - 1), data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_small_schema_is_kept_to(tiny: Loaded, schema: Schema, seed: int, data: st.DataObject) -> None:
    chosen = replace(parameters(tokens=120, seed=seed), json_schema=json.dumps(schema))

    async def reply_and_continue() -> None:
        async with running(BatchEngine("tiny", lambda: tiny, BOUNDS)) as engine:
            whole = await engine_generate(engine, Request("tiny", chat("What is it?"), chosen))
            if whole.end.finish_reason is FinishReason.STOP:
                validate(json.loads(whole.text), schema)
            split = data.draw(st.integers(0, len(whole.tokens)))
            asked = Request("tiny", chat("What is it?"), chosen, emitted=whole.tokens[:split])
            assert (await engine_generate(engine, asked)).tokens == whole.tokens[split:]

    asyncio.run(reply_and_continue())


async def test_logprobs_come_with_each_token_and_only_if_asked_for(inference: Served) -> None:
    silent = await generate(inference, seed=5)
    assert not silent.logprobs
    told = await generate(inference, seed=5, top_logprobs=4)
    assert told.tokens == silent.tokens
    assert [each.drawn.token_id for each in told.logprobs] == told.tokens
    for each in told.logprobs:
        ranked = [one.logprob for one in each.top]
        assert len(ranked) == 4
        assert ranked == sorted(ranked, reverse=True)
        assert sum(map(math.exp, ranked)) <= 1 + 1e-5
        assert each.drawn.logprob <= ranked[0]
    bare = await generate(inference, seed=5, top_logprobs=0)
    assert [each.drawn for each in bare.logprobs] == [each.drawn for each in told.logprobs]
    assert not any(each.top for each in bare.logprobs)


async def test_the_fake_tells_made_up_ones_and_follows_no_schema() -> None:
    async with served(FakeEngine()) as inference:
        reply = await generate(inference, "say: likely", top_logprobs=2)
        assert [each.drawn.token_id for each in reply.logprobs] == reply.tokens
        assert [each.top[0] for each in reply.logprobs] == [each.drawn for each in reply.logprobs]
        with pytest.raises(DomainError) as refused:
            await generate(inference, json_schema="{}")
        assert list(refused.value.fields) == ["parameters.json_schema"]
