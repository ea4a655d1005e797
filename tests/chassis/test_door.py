"""What comes in through the door, and what goes out."""

import asyncio
import json
import logging
import time
from typing import Any

import grpc
import pytest

from parley.history.v1 import history_service_pb2 as pb
from parley.history.v1.history_service_pb2_grpc import HistoryServiceStub
from services.chassis import deadline
from services.chassis.errors import DomainError, Reason, from_rpc
from services.chassis.identity import caller
from services.chassis.telemetry import JsonFormatter, current_trace
from tests.chassis.echo import GET, channel_to, served
from tests.identity import Signer

REQUEST = pb.GetMessageRequest(message_id="x")


async def reason_of(call: grpc.aio.UnaryUnaryCall[pb.GetMessageRequest, pb.GetMessageResponse]) -> Reason:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc(refused.value).reason


async def test_the_caller_the_deadline_and_the_trace_arrive() -> None:
    seen: dict[str, Any] = {}

    async def look(request: pb.GetMessageRequest) -> pb.GetMessageResponse:
        del request
        trace = current_trace.get()
        assert trace
        seen.update(who=caller(), left=deadline.within(100), trace=trace)
        return pb.GetMessageResponse()

    signer = Signer()
    metadata = signer.metadata("history", "ann", service="edge")
    metadata.add("x-request-id", "request-1")
    metadata.add("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    async with served(signer, look) as server, channel_to(server) as channel:
        await HistoryServiceStub(channel).GetMessage(REQUEST, metadata=metadata, timeout=3)
    assert (seen["who"].account_id, seen["who"].service, seen["who"].roles) == ("ann", "edge", {"user"})
    assert 1 < seen["left"] <= 3
    assert (seen["trace"].request_id, seen["trace"].trace_id) == ("request-1", "a" * 32)


async def test_a_call_without_a_deadline_is_refused() -> None:
    signer = Signer()
    async with served(signer) as server, channel_to(server) as channel:
        call = HistoryServiceStub(channel).GetMessage(REQUEST, metadata=signer.metadata("history", "ann"))
        assert await reason_of(call) is Reason.DEADLINE_REQUIRED


@pytest.mark.parametrize("what", ["none", "garbage", "foreign", "audience", "expired and audience", "type"])
async def test_a_call_without_a_valid_token_is_refused(what: str) -> None:
    signer = Signer()
    token = {
        "none": "",
        "garbage": "Bearer a.b.c",
        "foreign": f"Bearer {Signer().token('history', 'ann')}",
        "audience": f"Bearer {signer.token('metadata', 'ann')}",
        "expired and audience": f"Bearer {signer.token('metadata', 'ann', lifetime=-5)}",
        "type": f"Bearer {signer.token('history', 'ann', token_type='at+jwt')}",
    }[what]
    async with served(signer) as server, channel_to(server) as channel:
        metadata = grpc.aio.Metadata(("authorization", token))
        call = HistoryServiceStub(channel).GetMessage(REQUEST, metadata=metadata, timeout=3)
        assert await reason_of(call) is Reason.UNAUTHENTICATED


async def test_a_token_that_has_expired_is_no_reason_to_doubt_its_account() -> None:
    signer = Signer()
    late = grpc.aio.Metadata(("authorization", f"Bearer {signer.token('history', 'ann', lifetime=-5)}"))
    async with served(signer) as server, channel_to(server) as channel:
        call = HistoryServiceStub(channel).GetMessage(REQUEST, metadata=late, timeout=3)
        assert await reason_of(call) is Reason.UNAVAILABLE


async def test_an_open_method_needs_no_token() -> None:
    signer = Signer()
    async with served(signer, open_methods=frozenset({GET})) as server, channel_to(server) as channel:
        answer = await HistoryServiceStub(channel).GetMessage(REQUEST, timeout=3)
    assert answer.message.message_id == "x"


async def test_bytes_that_are_no_message_are_the_callers_fault() -> None:
    signer = Signer()
    async with served(signer) as server, channel_to(server) as channel:
        raw: Any = channel.unary_unary(GET)
        call = raw(b"\x0a\x02\xff\xfe", metadata=signer.metadata("history", "ann"), timeout=3)
        assert await reason_of(call) is Reason.INVALID_ARGUMENT


async def test_the_unexpected_is_neutral_outside_and_has_its_id_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def break_down(request: pb.GetMessageRequest) -> pb.GetMessageResponse:
        raise RuntimeError(f"the user wrote {request.message_id}")

    signer = Signer()
    with caplog.at_level(logging.INFO):
        async with served(signer, break_down) as server, channel_to(server) as channel:
            secret = pb.GetMessageRequest(message_id="my secret")
            call = HistoryServiceStub(channel).GetMessage(secret, metadata=signer.metadata("history", "ann"), timeout=3)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
    error = from_rpc(refused.value)
    lines = [json.loads(JsonFormatter("test").format(record)) for record in caplog.records]
    [line] = [line for line in lines if line["message"] == "unexpected"]
    assert error.reason is Reason.INTERNAL
    assert error.metadata["error_id"] == line["error_id"]
    assert "secret" not in error.message + json.dumps(lines)


async def test_a_deadline_that_passes_ends_the_call() -> None:
    ended = asyncio.Event()

    async def wait(request: pb.GetMessageRequest) -> pb.GetMessageResponse:
        del request
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return pb.GetMessageResponse()

    signer = Signer()
    async with served(signer, wait) as server, channel_to(server) as channel:
        started = time.monotonic()
        call = HistoryServiceStub(channel).GetMessage(REQUEST, metadata=signer.metadata("history", "ann"), timeout=0.2)
        assert await reason_of(call) is Reason.DEADLINE_EXCEEDED
        assert time.monotonic() - started < 2
        async with asyncio.timeout(5):
            await ended.wait()


async def test_a_domain_error_arrives_whole() -> None:
    async def refuse(request: pb.GetMessageRequest) -> pb.GetMessageResponse:
        del request
        raise DomainError(Reason.QUOTA_EXCEEDED, "Enough.", metadata={"limit_tokens": "5"}, retry_after=1.5)

    signer = Signer()
    async with served(signer, refuse) as server, channel_to(server) as channel:
        call = HistoryServiceStub(channel).GetMessage(REQUEST, metadata=signer.metadata("history", "ann"), timeout=3)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
    error = from_rpc(refused.value)
    assert (error.reason, error.message, error.retry_after) == (Reason.QUOTA_EXCEEDED, "Enough.", 1.5)
    assert error.metadata == {"limit_tokens": "5"}
