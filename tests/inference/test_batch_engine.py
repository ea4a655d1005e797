"""The engine that runs models: its promises, with random weights, and what breaks without breaking the rest."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from services.chassis.errors import DomainError, Reason
from services.inference.admission import Bounds
from services.inference.batch_engine import BatchEngine, Loaded
from services.inference.blocks import BLOCK_TOKENS
from services.inference.draw import Drawn
from services.inference.engine import Delta, End, Engine, Failed, ModelUnusableError, Queued, Request
from services.inference.language_model import LanguageModel
from services.inference.loading import load_with_torch
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


class TestWithTransformers(EngineContract):
    """What computes every architecture that the CPU's own decoder does not, and all of them on a GPU."""

    @pytest.fixture
    async def engine(self, tiny: Loaded, tiny_folder: Path) -> AsyncIterator[Engine]:
        loaded = replace(tiny, model=load_with_torch(tiny_folder, "cpu", 1, CACHE_TOKENS))
        async with running(BatchEngine("tiny", lambda: loaded, BOUNDS)) as engine:
            yield engine


class Breaking:
    """A model that breaks when it is told to."""

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self.breaks = False
        self.stays_broken = False

    def step(self, chunks: Sequence[Chunk]) -> list[Drawn | None]:
        if self.breaks:
            self.breaks = False
            raise RuntimeError("out of memory")
        return self._model.step(chunks)

    def warm_up(self) -> None:
        if self.stays_broken:
            raise RuntimeError("the device is gone")
        self._model.warm_up()


class Blocking:
    """A model whose steps wait for a word."""

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self.began, self.goes_on = threading.Event(), threading.Event()

    def step(self, chunks: Sequence[Chunk]) -> list[Drawn | None]:
        self.began.set()
        self.goes_on.wait()
        return self._model.step(chunks)

    def warm_up(self) -> None:
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


def open_to_poison(tiny: Loaded, folder: Path) -> tuple[Loaded, torch.nn.Embedding]:
    """A model of transformers, and what it makes of tokens."""
    model = load_with_torch(folder, "cpu", 1, CACHE_TOKENS)
    assert isinstance(model, LanguageModel)
    embedding = model._model.get_input_embeddings()
    assert isinstance(embedding, torch.nn.Embedding)
    return replace(tiny, model=model), embedding


async def test_nan_ends_one_reply_and_leaves_the_other(tiny: Loaded, tiny_folder: Path) -> None:
    loaded, embedding = open_to_poison(tiny, tiny_folder)
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


async def test_nothing_that_was_not_a_number_is_found_again(tiny: Loaded, tiny_folder: Path) -> None:
    loaded, embedding = open_to_poison(tiny, tiny_folder)
    asked = Request("tiny", tuple(range(40, 240)), parameters(tokens=3))
    async with running(BatchEngine("tiny", lambda: loaded, BOUNDS)) as engine:
        with torch.inference_mode():
            healthy = embedding.weight[60].clone()
            embedding.weight[60] = torch.nan
        failing = await start(engine, asked)
        assert (await failing.until(Failed)).error.reason is Reason.ENGINE_FAILED
        with torch.inference_mode():
            embedding.weight[60] = healthy
        healed = await generate(engine, asked)
        assert healed.end.cached_prompt_tokens == 0
        assert (await generate(engine, asked)).tokens == healed.tokens


async def test_out_of_memory_replies_pause_and_come_out_the_same(tiny_folder: Path) -> None:
    loaded = load_on_cpu(tiny_folder, max_context_length=512)
    bounds = Bounds(slots=4, waiting=4, cache_tokens=512, prefill_tokens=64)
    async with running(BatchEngine("tiny", lambda: loaded, bounds)) as engine:
        asked = [Request("tiny", tuple(range(40 + seed, 70)), parameters(seed=seed, tokens=200)) for seed in range(4)]
        alone = [await generate(engine, each) for each in asked]
        assert sum(len(reply.tokens) for reply in alone) > 512
        watched = [await start(engine, each) for each in asked]
        queued = 0
        for each, reply in zip(watched, alone, strict=True):
            tokens: list[int] = []
            while not isinstance(event := await each.until(Delta, Queued, End), End):
                if isinstance(event, Delta):
                    assert event.token_offset == len(tokens)
                    tokens += event.token_ids
                else:
                    queued += len(tokens) > 0
            assert tuple(tokens) == reply.tokens
        assert queued, "one had to make room"
        assert engine.load().cached_tokens == 0


async def test_a_second_turn_finds_the_first_and_says_the_same(engine: Engine) -> None:
    first = await generate(engine, Request("tiny", tuple(range(40, 120)), parameters(tokens=40), tenant="a"))
    asked = Request("tiny", (*range(40, 120), *first.tokens, 50, 51), parameters(tokens=20), tenant="a")
    second = await generate(engine, asked)
    assert second.end.cached_prompt_tokens == (80 + len(first.tokens) - 1) // BLOCK_TOKENS * BLOCK_TOKENS > 0
    stranger = await generate(engine, replace(asked, tenant="b"))
    assert stranger.end.cached_prompt_tokens == 0
    assert stranger.tokens == second.tokens


async def test_it_tells_how_long_its_step_takes(tiny: Loaded) -> None:
    blocking = Blocking(tiny.model)
    engine = BatchEngine("tiny", lambda: replace(tiny, model=blocking), BOUNDS)
    assert engine.stalled_seconds() == 0
    async with running(engine):
        assert engine.stalled_seconds() == 0
        watched = await start(engine, request(engine, tokens=1))
        await asyncio.to_thread(blocking.began.wait)
        assert engine.stalled_seconds() > 0
        blocking.goes_on.set()
        await watched.until(End)
        while engine.stalled_seconds():
            await asyncio.sleep(0)


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
