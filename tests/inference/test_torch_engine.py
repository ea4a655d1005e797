"""The torch engine keeps an engine's promises with a model of random weights, and breaks in one place only."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from services.chassis.errors import DomainError, Reason
from services.inference.engine import Delta, Engine, Failed, ModelUnusableError, Request
from services.inference.scheduler import Chunk
from services.inference.torch_engine import Bounds, Loaded, TorchEngine
from services.inference.worker import Forward
from tests.inference.conftest import CACHE_TOKENS
from tests.inference.contract import SLOTS, WAITING, EngineContract, long_request, request, until_failed
from tests.inference.generations import generate, parameters, start
from tests.inference.running import running

BOUNDS = Bounds(SLOTS, WAITING, CACHE_TOKENS, prefill_tokens=16)


@pytest.fixture
async def engine(tiny: Loaded) -> AsyncIterator[Engine]:
    async with running(TorchEngine("tiny", lambda: tiny, BOUNDS)) as engine:
        yield engine


class TestTorchEngine(EngineContract):
    pass


class Breaking:
    """A model that breaks as it is told to."""

    def __init__(self, model: Forward) -> None:
        self._model = model
        self.spoils = 0
        """A step with so many chunks gets NaN for its first."""
        self.raises = False

    def forward(self, step: Sequence[Chunk]) -> Tensor:
        if self.raises:
            self.raises = False
            raise RuntimeError("out of memory")
        logits = self._model.forward(step)
        if len(step) == self.spoils:
            self.spoils = 0
            logits = logits.clone()
            logits[0, 3] = torch.nan
        return logits

    def warm_up(self) -> None:
        self._model.warm_up()


@pytest.fixture
def breaking(tiny: Loaded) -> Breaking:
    return Breaking(tiny.model)


@pytest.fixture
async def fragile(tiny: Loaded, breaking: Breaking) -> AsyncIterator[Engine]:
    async with running(TorchEngine("tiny", lambda: replace(tiny, model=breaking), BOUNDS)) as engine:
        yield engine


async def test_nan_ends_one_reply_and_leaves_the_other(fragile: Engine, breaking: Breaking) -> None:
    alone = await generate(fragile, request(fragile, tokens=60))
    spoiled = await start(fragile, long_request(fragile))
    await spoiled.until(Delta)
    other = asyncio.create_task(generate(fragile, request(fragile, tokens=60)))
    breaking.spoils = 2
    failed = await spoiled.until(Failed)
    assert failed.error.reason is Reason.ENGINE_FAILED
    assert (await other).tokens == alone.tokens
    assert fragile.load().running == 0


async def test_a_broken_step_ends_its_replies_and_the_next_one_works(fragile: Engine, breaking: Breaking) -> None:
    broken = [await start(fragile, long_request(fragile)) for _ in range(SLOTS)]
    for each in broken:
        await each.until(Delta)
    breaking.raises = True
    for each in broken:
        assert (await each.until(Failed)).error.reason is Reason.ENGINE_FAILED
    assert (fragile.load().running, fragile.load().cached_tokens) == (0, 0)
    await generate(fragile, request(fragile))


async def test_a_model_that_cannot_be_loaded_ends_the_engine() -> None:
    def load() -> Loaded:
        raise ModelUnusableError("no such file")

    engine = TorchEngine("tiny", load, BOUNDS)
    assert [model.ready for model in engine.models()] == [False]
    with pytest.raises(DomainError) as refused:
        await start(engine, request(engine))
    assert refused.value.reason is Reason.ENGINE_OVERLOADED
    with pytest.raises(ModelUnusableError, match="no such file"):
        await engine.run()


async def test_stopping_it_fails_what_runs(tiny: Loaded) -> None:
    engine = TorchEngine("tiny", lambda: tiny, BOUNDS)
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
