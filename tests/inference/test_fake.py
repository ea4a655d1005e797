"""The fake engine keeps an engine's promises, and its own: it can be foretold and paced."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.chassis.errors import DomainError, Reason
from services.inference.engine import Delta, Engine, FinishReason, Request
from services.inference.fake import FakeEngine, Pace
from services.inference.fake_text import decode_text, encode_text
from tests.inference.contract import CONTEXT_LENGTH, SLOTS, WAITING, EngineContract, request, until_failed
from tests.inference.generations import chat, generate, parameters, start
from tests.inference.running import running


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with running(FakeEngine(slots=SLOTS, waiting=WAITING, context_length=CONTEXT_LENGTH)) as engine:
        yield engine


class TestFakeEngine(EngineContract):
    pass


async def test_it_says_what_it_is_told(engine: Engine) -> None:
    reply = await generate(engine, request(engine, "say: naïve 東京 👋🏽, verbatim.", tokens=200))
    assert (reply.text, reply.end.finish_reason) == ("naïve 東京 👋🏽, verbatim.", FinishReason.STOP)
    assert max(len(delta.token_ids) for delta in reply.deltas) == 1
    assert "" in [delta.text for delta in reply.deltas], "characters of several bytes come in several tokens"


async def test_it_speaks_as_many_words_as_it_is_asked_for(engine: Engine) -> None:
    for words in (1, 7, 300):
        reply = await generate(engine, request(engine, f"words={words}, please", tokens=3000))
        assert len(reply.text.split()) == words
        assert reply.end.finish_reason is FinishReason.STOP
    assert len((await generate(engine, request(engine, "hello", tokens=3000))).text.split()) == 32


async def test_it_breaks_when_it_is_asked_to(engine: Engine) -> None:
    asked = request(engine, "fail=5 words=50")
    with pytest.raises(DomainError) as broken:
        await generate(engine, asked)
    assert broken.value.reason is Reason.ENGINE_FAILED
    assert engine.load().running == 0


async def test_replies_start_together_when_they_are_asked_to() -> None:
    engine = FakeEngine(slots=2, pace=Pace(tokens_per_second=1000))
    async with running(engine):
        start_time = int(time.time()) + 2
        replies = [await start(engine, request(engine, f"words=3 start={start_time}", tokens=9)) for _ in range(2)]
        for reply in replies:
            await reply.until(Delta)
            assert time.time() >= start_time


async def test_it_ends_after_tokens_that_are_not_its_own(engine: Engine) -> None:
    asked = Request("fake", chat("say: ab"), parameters(tokens=50), emitted=tuple(b"something longer"))
    assert (await generate(engine, asked)).end.finish_reason is FinishReason.STOP


async def test_its_pace_is_kept_for_each() -> None:
    engine = FakeEngine(slots=20, pace=Pace(tokens_per_second=100, first_token_seconds=0.05))
    loop = asyncio.get_running_loop()
    async with running(engine):
        began = loop.time()
        first = await start(engine, request(engine, "words=500", tokens=21))
        await first.until(Delta)
        assert 0.05 <= loop.time() - began < 0.15
        began = loop.time()
        await asyncio.gather(*(generate(engine, request(engine, "words=500", tokens=21)) for _ in range(20)))
        assert 0.24 < loop.time() - began < 0.75


def test_text_survives_its_tokens() -> None:
    for text in ("", "a stone is a stone", "Ελλάδα\n\t 👋🏽  words", " the the"):
        assert decode_text(encode_text(text)) == text
        assert len(encode_text(text)) <= len(text.encode())


async def test_stopping_it_fails_what_runs() -> None:
    engine = FakeEngine(slots=SLOTS)
    task = asyncio.create_task(engine.run())
    await engine.wait_ready()
    await until_failed(engine, task)
