"""An upstream keeps an engine's promises, by token ids; by text, those that text can keep."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.inference.engine import Engine
from tests.inference.contract import EngineContract, until_failed
from tests.inference.upstream.server import serving
from tests.inference.upstream.upstreams import make_engine, upstream


class TestTokens(EngineContract):
    @pytest.fixture(params=["vllm", "sglang", "llama.cpp"])
    async def engine(self, request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
        async with upstream(request.param) as (engine, _):
            yield engine


async def test_stopping_it_fails_what_runs() -> None:
    async with serving("vllm") as server:
        engine = make_engine(server)
        task = asyncio.create_task(engine.run())
        await engine.wait_ready()
        await until_failed(engine, task)
