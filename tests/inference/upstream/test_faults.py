"""An upstream that refuses, breaks, falls silent or dies: every fault has its type, and no reply ends by it."""

import asyncio
import signal
import sys
from dataclasses import replace

import pytest

from services.chassis.config import child_environment
from services.chassis.errors import DomainError, Reason
from services.inference.engine import Delta, Failed, FinishReason
from services.inference.upstream.connection import Deadlines
from tests.inference.contract import long_request, request
from tests.inference.generations import generate, start
from tests.inference.running import running
from tests.inference.upstream.server import FakeServer, Fault, serving
from tests.inference.upstream.upstreams import make_engine, upstream

KINDS = pytest.mark.parametrize("kind", ["vllm", "llama.cpp", "openai"])
IMPATIENT = Deadlines(connect=20, answer=20, first_token=0.3, next_token=0.3)
TOO_LONG = """{"error": {"message": "This model's maximum context length is 10 tokens. However, you requested 12."}}"""


@pytest.mark.parametrize(
    ("fault", "reason", "retry_after"),
    [
        (Fault(429, "Retry-After: 7\r\n"), Reason.ENGINE_OVERLOADED, 7),
        (Fault(429, "Retry-After: 100000\r\n"), Reason.ENGINE_OVERLOADED, 60),
        (Fault(503), Reason.ENGINE_OVERLOADED, 1),
        (Fault(500), Reason.UNAVAILABLE, 1),
        (Fault(502, answer="<html>"), Reason.UNAVAILABLE, 1),
        (Fault(400), Reason.ENGINE_FAILED, None),
        (Fault(401), Reason.ENGINE_FAILED, None),
        (Fault(400, answer=TOO_LONG), Reason.CONTEXT_LENGTH_EXCEEDED, None),
        (Fault(kind="cut"), Reason.UNAVAILABLE, 1),
        (Fault(after=3, kind="cut"), Reason.UNAVAILABLE, 1),
        (Fault(after=3, kind="end"), Reason.UNAVAILABLE, 1),
        (Fault(after=3, kind="error"), Reason.UNAVAILABLE, 1),
        (Fault(after=3, kind="garbage"), Reason.ENGINE_FAILED, None),
        (Fault(after=3, kind="nested"), Reason.ENGINE_FAILED, None),
        (Fault(after=3, kind="stranger"), Reason.ENGINE_FAILED, None),
    ],
)
@KINDS
async def test_a_fault_has_its_type_and_the_next_one_works(
    kind: str, fault: Fault, reason: Reason, retry_after: float | None
) -> None:
    async with upstream(kind) as (engine, server):
        server.faults.append(fault)
        with pytest.raises(DomainError) as failed:
            await generate(engine, request(engine))
        assert (failed.value.reason, failed.value.retry_after) == (reason, retry_after)
        assert "no" not in failed.value.message.split(), "an upstream's words stay with us"
        assert (engine.load().running, engine.load().cached_tokens) == (0, 0)
        await generate(engine, request(engine))


@pytest.mark.parametrize("after", [0, 4])
@KINDS
async def test_silence_is_a_fault(kind: str, after: int) -> None:
    async with upstream(kind, IMPATIENT) as (engine, server):
        server.faults.append(Fault(after=after, kind="hang"))
        with pytest.raises(DomainError) as failed:
            await generate(engine, request(engine))
        assert failed.value.reason is Reason.UNAVAILABLE
        await server.left.wait()
        assert server.alive == 0


@KINDS
async def test_a_reply_goes_on_where_a_stream_was_cut(kind: str) -> None:
    async with upstream(kind) as (engine, server):
        asked = request(engine, temperature=0, tokens=300)
        whole = await generate(engine, asked)
        server.faults.append(Fault(after=5, kind="cut"))
        watched = await start(engine, asked)
        deltas: list[Delta] = []
        while isinstance(event := await watched.until(Delta, Failed), Delta):
            deltas.append(event)
        emitted = tuple(token for delta in deltas for token in delta.token_ids)
        assert emitted == whole.tokens[: len(emitted)]
        assert emitted
        rest = await generate(engine, replace(asked, emitted=emitted))
        assert "".join(delta.text for delta in deltas) + rest.text == whole.text
        assert rest.end.finish_reason is whole.end.finish_reason is FinishReason.STOP


@KINDS
async def test_cancelling_closes_the_stream_there(kind: str) -> None:
    async with upstream(kind) as (engine, server):
        server.faults.append(Fault(after=4, kind="hang"))
        watched = await start(engine, long_request(engine))
        await watched.until(Delta)
        assert server.alive == 1
        watched.cancel()
        await watched.ended()
        await server.left.wait()


async def test_a_stop_string_closes_the_stream_there() -> None:
    async with upstream("vllm") as (engine, server):
        await generate(engine, request(engine, "words=900", tokens=3000, stop=(" ",)))
        await server.left.wait()
        assert server.alive == 0


async def test_health_is_red_while_the_upstream_is_gone_and_green_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.inference.upstream.watch.LOOK_SECONDS", 0.01)
    async with upstream("vllm") as (engine, server):
        await engine.check()
        server.healthy = False
        while engine.models()[0].ready:
            await asyncio.sleep(0.01)
        with pytest.raises(DomainError) as refused:
            await engine.check()
        assert refused.value.reason is Reason.UNAVAILABLE
        with pytest.raises(DomainError) as overloaded:
            await start(engine, request(engine))
        assert overloaded.value.reason is Reason.ENGINE_OVERLOADED
        server.healthy = True
        while not engine.models()[0].ready:
            await asyncio.sleep(0.01)
        await generate(engine, request(engine))


async def test_a_gauge_that_is_no_number_is_a_failed_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.inference.upstream.watch.LOOK_SECONDS", 0.01)
    async with upstream("vllm") as (engine, server):
        server.metrics = 'vllm:num_requests_waiting{engine="0"} +Inf\n'
        while engine.models()[0].ready:
            await asyncio.sleep(0.01)
        server.metrics = 'vllm:num_requests_waiting{engine="0"} 2\n'
        while not engine.models()[0].ready:
            await asyncio.sleep(0.01)
        await generate(engine, request(engine))


async def test_the_upstreams_own_queue_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.inference.upstream.watch.LOOK_SECONDS", 0.01)
    async with upstream("vllm") as (engine, server):
        server.metrics = (
            "# HELP vllm:num_requests_waiting x\n"
            'vllm:num_requests_waiting{engine="0"} 3.0\nvllm:num_requests_waiting{engine="1"} 2.0\n'
            'vllm:num_requests_waiting_by_reason{reason="x"} 9.0\n'
        )
        while engine.load().waiting != 5:
            await asyncio.sleep(0.01)


async def test_a_killed_upstream_is_survived_when_it_is_back() -> None:
    server = FakeServer("vllm")
    process = await _spawn(0)
    server.port = await _port(process)
    async with running(make_engine(server)) as engine:
        await engine.wait_ready()
        whole = await generate(engine, request(engine, temperature=0))
        watched = await start(engine, long_request(engine))
        await watched.until(Delta)
        process.send_signal(signal.SIGKILL)
        failed = await watched.until(Failed)
        assert failed.error.reason is Reason.UNAVAILABLE
        await process.wait()
        process = await _spawn(server.port)
        await _port(process)
        try:
            while not engine.models()[0].ready:
                await asyncio.sleep(0.05)
            again = await generate(engine, request(engine, temperature=0))
        finally:
            process.kill()
            await process.wait()
        assert again.tokens == whole.tokens


async def _spawn(port: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.inference.upstream.server",
        str(port),
        stdout=asyncio.subprocess.PIPE,
        env=child_environment({}),
    )


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout
    return int(await process.stdout.readline())


async def test_what_an_upstream_does_not_tell_is_asked_for() -> None:
    async with serving("openai") as server:
        engine = make_engine(server, context_length=0)
        with pytest.raises(Exception, match="PARLEY_UPSTREAM_CONTEXT_LENGTH"):
            await engine.run()
