"""The engine that runs models: its promises, with random weights, and what breaks without breaking the rest."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from services.chassis.errors import DomainError, Reason
from services.inference.batch_engine import BatchEngine, Bounds, Loaded
from services.inference.engine import Delta, Engine, Failed, ModelUnusableError, Request
from services.inference.language_model import LanguageModel
from services.inference.scheduler import Chunk
from services.inference.worker import StepModel
from tests.inference.conftest import CACHE_TOKENS, load_on_cpu
from tests.inference.contract import SLOTS, WAITING, EngineContract, long_request, request, until_failed
from tests.inference.generations import chat, generate, parameters, start
from tests.inference.running import running

BOUNDS = Bounds(SLOTS, WAITING, CACHE_TOKENS, prefill_tokens=16)


@pytest.fixture
async def engine(tiny: Loaded) -> AsyncIterator[Engine]:
    async with running(BatchEngine("tiny", lambda: tiny, BOUNDS)) as engine:
        yield engine


class TestBatchEngine(EngineContract):
    pass


class Breaking:
    """A model that breaks when it is told to."""

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self.breaks = False
        self.stays_broken = False

    def step(self, chunks: Sequence[Chunk]) -> list[int | None]:
        if self.breaks:
            self.breaks = False
            raise RuntimeError("out of memory")
        return self._model.step(chunks)

    def warm_up(self) -> None:
        if self.stays_broken:
            raise RuntimeError("the device is gone")
        self._model.warm_up()


async def test_a_broken_step_ends_its_replies_and_the_next_one_works(tiny: Loaded) -> None:
    breaking = Breaking(tiny.model)
    async with running(BatchEngine("tiny", lambda: replace(tiny, model=breaking), BOUNDS)) as engine:
        broken = [await start(engine, long_request(engine)) for _ in range(SLOTS)]
        for each in broken:
            await each.until(Delta)
        breaking.breaks = True
        for each in broken:
            assert (await each.until(Failed)).error.reason is Reason.ENGINE_FAILED
        assert (engine.load().running, engine.load().cached_tokens) == (0, 0)
        await generate(engine, request(engine))


async def test_an_engine_that_stays_broken_ends(tiny: Loaded) -> None:
    breaking = Breaking(tiny.model)
    engine = BatchEngine("tiny", lambda: replace(tiny, model=breaking), BOUNDS)
    task = asyncio.create_task(engine.run())
    await engine.wait_ready()
    each = [await start(engine, long_request(engine)) for _ in range(SLOTS + 1)]
    await each[0].until(Delta)
    breaking.stays_broken = breaking.breaks = True
    for one in each:
        assert (await one.until(Failed)).error.reason is Reason.ENGINE_FAILED
    with pytest.raises(RuntimeError, match="gone"):
        await task
    with pytest.raises(DomainError) as refused:
        await engine.check()
    assert refused.value.reason is Reason.UNAVAILABLE


async def test_nan_ends_one_reply_and_leaves_the_other(tiny_folder: Path) -> None:
    loaded = load_on_cpu(tiny_folder)
    assert isinstance(loaded.model, LanguageModel)
    embedding = loaded.model._model.get_input_embeddings()
    assert isinstance(embedding, torch.nn.Embedding)
    async with running(BatchEngine("tiny", lambda: loaded, BOUNDS)) as engine:
        alone = await generate(engine, request(engine, tokens=60))
        used = {*alone.tokens, *loaded.tokenizer.encode(chat("Grüße aus 東京 👋🏽")).tokens}
        poison = next(token for token in range(2, 300) if token not in used)
        with torch.inference_mode():
            embedding.weight[poison] = torch.nan
        staying = asyncio.create_task(generate(engine, request(engine, tokens=60)))
        for _ in range(3):
            failing = await start(engine, Request("tiny", (40, poison, 41), parameters()))
            assert (await failing.until(Failed)).error.reason is Reason.ENGINE_FAILED
        assert (await staying).tokens == alone.tokens
        assert engine.load().running == 0


async def test_a_model_that_cannot_be_loaded_ends_the_engine() -> None:
    def load() -> Loaded:
        raise ModelUnusableError("no such file")

    engine = BatchEngine("tiny", load, BOUNDS)
    assert [model.ready for model in engine.models()] == [False]
    with pytest.raises(DomainError) as refused:
        await start(engine, request(engine))
    assert refused.value.reason is Reason.ENGINE_OVERLOADED
    with pytest.raises(ModelUnusableError, match="no such file"):
        await engine.run()


async def test_stopping_it_fails_what_runs(tiny: Loaded) -> None:
    engine = BatchEngine("tiny", lambda: tiny, BOUNDS)
    task = asyncio.create_task(engine.run())
    await engine.wait_ready()
    await until_failed(engine, task)


async def test_greedy_replies_are_those_of_transformers(tiny_folder: Path, engine: Engine) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_folder)
    prompt = tuple(range(40, 75))
    output = model.generate(torch.tensor([prompt]), max_new_tokens=80, do_sample=False)  # type: ignore[misc]
    expected = output[0, len(prompt) :].tolist()
    asked = Request("tiny", prompt, parameters(temperature=0, tokens=80))
    replies = await asyncio.gather(*(generate(engine, asked) for _ in range(SLOTS)))
    assert [list(reply.tokens) for reply in replies] == [expected] * SLOTS
