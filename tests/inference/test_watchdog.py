"""The watchdog: a step that hangs turns liveness red, and nothing else does."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.chassis.errors import DomainError, Reason
from services.inference.batch_engine import BatchEngine, Loaded
from services.inference.draw import Drawn
from services.inference.engine import Delta
from services.inference.fake import FakeEngine
from services.inference.scheduler import Chunk
from services.inference.watchdog import Watchdog
from services.inference.worker import StepModel
from tests.inference.contract import long_request
from tests.inference.generations import start
from tests.inference.running import running
from tests.inference.test_batch_engine import BOUNDS


class Hanging:
    """A model whose steps wait while it is told to hang."""

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self.goes_on = threading.Event()
        self.goes_on.set()

    def step(self, chunks: Sequence[Chunk]) -> list[Drawn | None]:
        self.goes_on.wait()
        return self._model.step(chunks)

    def warm_up(self) -> None:
        self._model.warm_up()


async def test_a_step_that_hangs_is_seen_and_one_that_ends_after_all_too(tiny: Loaded) -> None:
    hanging = Hanging(tiny.model)
    async with running(BatchEngine("tiny", lambda: replace(tiny, model=hanging), BOUNDS)) as engine:
        watchdog = Watchdog(engine, step_seconds=0.2, loading_seconds=100)
        patient = Watchdog(engine, step_seconds=100, loading_seconds=0)
        await watchdog.check()
        watched = await start(engine, long_request(engine))
        await watched.until(Delta)
        hanging.goes_on.clear()
        try:
            while engine.stalled_seconds() < 0.5:
                await asyncio.sleep(0.01)
            with pytest.raises(DomainError) as red:
                await watchdog.check()
            assert red.value.reason is Reason.UNAVAILABLE
            await patient.check()
        finally:
            hanging.goes_on.set()
        watched.cancel()
        await watched.ended()
        while engine.stalled_seconds():
            await asyncio.sleep(0.01)
        await watchdog.check()


async def test_an_idle_engine_is_left_alone(tiny: Loaded) -> None:
    async with running(BatchEngine("tiny", lambda: tiny, BOUNDS)) as engine:
        watchdog = Watchdog(engine, step_seconds=0, loading_seconds=100)
        watched = await start(engine, long_request(engine))
        watched.cancel()
        await watched.ended()
        async with asyncio.timeout(60):
            while engine.stalled_seconds():
                await asyncio.sleep(0)
        await watchdog.check()


async def test_a_model_that_never_loads_is_seen() -> None:
    engine = FakeEngine()
    watchdog = Watchdog(engine, step_seconds=1, loading_seconds=0)
    with pytest.raises(DomainError, match="not loaded"):
        await watchdog.check()
    async with running(engine):
        await engine.wait_ready()
        await watchdog.check()
