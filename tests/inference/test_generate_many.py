"""GenerateMany over a real socket: many replies, one stream, and no neighbour's trouble."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason, from_rpc, from_status
from services.inference.engine import Cancel, Request, Sink
from services.inference.fake import FakeEngine, Pace
from tests.inference.serving import GENERATIONS_PER_STREAM, TIMEOUT, Served, ask, served

LONG = gen.GenerationParameters(max_output_tokens=5000)


@pytest.fixture
async def inference() -> AsyncIterator[Served]:
    async with served(FakeEngine(slots=8, pace=Pace(tokens_per_second=500))) as inference:
        yield inference


class Stream:
    """The client's side of a stream."""

    def __init__(self, inference: Served, metadata: grpc.aio.Metadata | None = None) -> None:
        self.call = inference.stub.GenerateMany(timeout=TIMEOUT, metadata=metadata or inference.service)
        self.events: dict[str, list[pb.GenerationEvent]] = {}
        self.heartbeats = 0

    async def start(self, *requests: pb.GenerateRequest) -> None:
        for request in requests:
            await self.call.write(pb.GenerateManyRequest(start=request))

    async def cancel(self, generation_id: str) -> None:
        await self.call.write(pb.GenerateManyRequest(cancel=pb.CancelGeneration(generation_id=generation_id)))

    async def read(self) -> bool:
        """Takes a response; False at the end of the stream."""
        try:
            async with asyncio.timeout(TIMEOUT):
                response = await self.call.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        if not isinstance(response, pb.GenerateManyResponse):
            return False
        self.heartbeats += not response.events
        for event in response.events:
            self.events.setdefault(event.generation_id, []).append(event)
        return True

    async def until_last(self, generation_id: str) -> pb.GenerationEvent:
        """The generation's last event."""
        while not (event := self.events.get(generation_id, [pb.GenerationEvent()])[-1]).HasField("end"):
            if event.HasField("failure"):
                break
            assert await self.read()
        return event

    async def until_delta(self, generation_id: str) -> None:
        while not any(event.HasField("delta") for event in self.events.get(generation_id, [])):
            assert await self.read()

    def text(self, generation_id: str) -> str:
        return "".join(event.delta.text for event in self.events[generation_id])

    async def failure(self, generation_id: str) -> DomainError:
        return from_status((await self.until_last(generation_id)).failure)


class Waiting(FakeEngine):
    """One that starts nothing whose prompt says so before it may."""

    def __init__(self) -> None:
        super().__init__(slots=8, pace=Pace(tokens_per_second=500))
        self.may_start = asyncio.Event()

    async def start(self, request: Request, sink: Sink) -> Cancel:
        if "wait" in str(request.prompt):
            await self.may_start.wait()
        return await super().start(request, sink)


async def test_one_that_takes_long_to_start_holds_up_no_other_and_can_be_cancelled() -> None:
    engine = Waiting()
    async with served(engine) as inference:
        stream = Stream(inference)
        await stream.start(ask("wait", generation_id="slow", parameters=LONG), ask("words=3", generation_id="quick"))
        assert (await stream.until_last("quick")).HasField("end")
        await stream.cancel("slow")
        # What comes after the cancellation shows that it was read.
        await stream.start(ask("words=3", generation_id="next"))
        await stream.until_last("next")
        engine.may_start.set()
        assert (await stream.until_last("slow")).end.finish_reason == gen.FINISH_REASON_CANCELLED


async def until_idle(inference: Served) -> None:
    """Asks until nothing runs; the test's own timeout is the bound."""
    while True:
        load = await inference.stub.GetLoad(pb.GetLoadRequest(), timeout=TIMEOUT, metadata=inference.service)
        if not load.running and not load.waiting:
            return


async def test_many_replies_come_over_one_stream(inference: Served) -> None:
    stream = Stream(inference)
    texts = {f"g{number}": f"say: reply {number}, 東京 👋🏽" for number in range(6)}
    await stream.start(*(ask(text, name) for name, text in texts.items()))
    for name, text in texts.items():
        assert (await stream.until_last(name)).end.finish_reason == gen.FINISH_REASON_STOP
        assert stream.text(name) == text.removeprefix("say: ")
    stream.call.cancel()


async def test_what_one_step_brings_comes_in_one_response() -> None:
    async with served(FakeEngine(slots=6)) as inference:
        stream = Stream(inference)
        await stream.start(*(ask("words=5000", f"g{number}", parameters=LONG) for number in range(6)))
        for number in range(6):
            await stream.until_delta(f"g{number}")
        response = await stream.call.read()
        assert isinstance(response, pb.GenerateManyResponse)
        assert sorted(event.generation_id for event in response.events) == [f"g{number}" for number in range(6)]
        stream.call.cancel()


async def test_silence_is_broken_by_heartbeats(inference: Served) -> None:
    stream = Stream(inference)
    loop = asyncio.get_running_loop()
    for _ in range(3):
        asked = loop.time()
        assert await stream.read()
        assert loop.time() - asked < 1
    assert stream.heartbeats == 3
    stream.call.cancel()


async def test_a_cancelled_one_ends_and_the_others_go_on(inference: Served) -> None:
    stream = Stream(inference)
    await stream.start(ask("words=5000", "a", parameters=LONG), ask("say: I stay", "b"))
    await stream.until_delta("a")
    await stream.cancel("nobody")
    await stream.cancel("a")
    end = await stream.until_last("a")
    assert end.end.finish_reason == gen.FINISH_REASON_CANCELLED
    assert end.end.usage.completion_tokens == sum(len(event.delta.token_ids) for event in stream.events["a"])
    assert (await stream.until_last("b")).end.finish_reason == gen.FINISH_REASON_STOP
    stream.call.cancel()


async def test_a_refused_one_leaves_the_others_alone(inference: Served) -> None:
    stream = Stream(inference)
    nobodys = ask("hi", "nobodys")
    nobodys.ClearField("owner")
    await stream.start(
        ask("say: fine", "good"),
        ask("hi", "model", model="gpt-9"),
        ask("x" * 9000, "long"),
        ask("hi", "hot", parameters=gen.GenerationParameters(temperature=9)),
        ask("fail=2", "broken"),
        nobodys,
    )
    assert (await stream.until_last("good")).end.finish_reason == gen.FINISH_REASON_STOP
    assert stream.text("good") == "fine"
    assert (await stream.failure("model")).reason is Reason.MODEL_NOT_FOUND
    assert (await stream.failure("long")).metadata["token_count"] == "9005"
    assert list((await stream.failure("hot")).fields) == ["parameters.temperature"]
    assert (await stream.failure("broken")).reason is Reason.ENGINE_FAILED
    assert list((await stream.failure("nobodys")).fields) == ["owner.tenant_id", "owner.account_id"]
    stream.call.cancel()


async def test_a_stream_carries_so_many_and_then_more_again(inference: Served) -> None:
    stream = Stream(inference)
    names = [f"g{number}" for number in range(GENERATIONS_PER_STREAM)]
    await stream.start(*(ask("words=5000", name, parameters=LONG) for name in names))
    await stream.start(ask("hi", "late"))
    refused = await stream.failure("late")
    assert refused.reason is Reason.ENGINE_OVERLOADED
    assert refused.retry_after
    await stream.cancel(names[0])
    await stream.until_last(names[0])
    await stream.start(ask("say: now", "again"))
    await stream.until_last("again")
    assert stream.text("again") == "now"
    stream.call.cancel()


async def test_a_name_that_still_lives_ends_both(inference: Served) -> None:
    stream = Stream(inference)
    await stream.start(ask("words=5000", "a", parameters=LONG))
    await stream.until_delta("a")
    await stream.start(ask("words=5000", "a", parameters=LONG))
    assert list((await stream.failure("a")).fields) == ["generation_id"]
    await until_idle(inference)
    await stream.start(ask("say: fresh", "a"))
    stream.events.clear()
    await stream.until_last("a")
    assert stream.text("a") == "fresh"
    stream.call.cancel()


async def test_closing_the_stream_cancels_all_of_it_and_no_other(inference: Served) -> None:
    closing, staying = Stream(inference), Stream(inference)
    await closing.start(*(ask("words=5000", f"g{number}", parameters=LONG) for number in range(3)))
    await staying.start(ask("words=200", "s", parameters=gen.GenerationParameters(max_output_tokens=150)))
    for number in range(3):
        await closing.until_delta(f"g{number}")
    closing.call.cancel()
    assert (await staying.until_last("s")).end.usage.completion_tokens == 150
    await until_idle(inference)
    staying.call.cancel()


async def test_a_client_that_says_no_more_gets_the_rest(inference: Served) -> None:
    stream = Stream(inference)
    await stream.start(ask("words=20", "a"))
    await stream.call.done_writing()
    while await stream.read():
        pass
    assert stream.events["a"][-1].HasField("end")


async def test_a_slow_reader_gets_larger_deltas() -> None:
    async with served(FakeEngine(slots=2)) as inference:
        stream = Stream(inference)
        await stream.start(ask("words=5000", "a", parameters=LONG))
        await stream.until_delta("a")
        await until_idle(inference)
        await stream.until_last("a")
        deltas = [event.delta for event in stream.events["a"] if event.HasField("delta")]
        assert sum(len(delta.token_ids) for delta in deltas) == 5000
        assert len(deltas) < 4000
        stream.call.cancel()


async def test_the_stream_is_for_services(inference: Served) -> None:
    stream = Stream(inference, inference.account)
    with pytest.raises(DomainError) as refused:
        await stream.read()
    assert refused.value.reason is Reason.PERMISSION_DENIED
