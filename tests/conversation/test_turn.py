"""The story of a turn on a real journal, with services that do as each test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from redis.asyncio import Redis

from parley.history.v1 import history_service_pb2 as history_pb
from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from parley.metadata.v1.metadata_service_pb2 import Conversation
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.conversation.config import Config
from services.conversation.draft import Turn
from services.conversation.feed import Feeds
from services.conversation.hub import Hub
from services.conversation.journal import Journal
from services.conversation.peers import History, Ledger, Metadata, Peers
from services.conversation.routing import ReplicaLostError, Router
from services.conversation.runner import Runner
from services.conversation.turn import Story
from services.conversation.writer import Writer
from tests.conversation.steps import claimed, lapse, take_one
from tests.valkey import Valkey

WORDS = ["one ", "two ", "three ", "four"]


class Services:
    """History, metadata, the ledger and the engines of one reply."""

    def __init__(self) -> None:
        self.turn = Turn(new_id(), new_id(), "default", "ann")
        self.reply = history_pb.Message(
            conversation_id=self.turn.conversation_id,
            message_id=self.turn.reply_id,
            request=history_pb.ReplyRequest(model="m"),
        )
        self.ended = asyncio.Event()
        self.settled: list[tuple[str, int]] = []
        self.generations: list[list[int]] = []
        """The tokens that each generation continued from."""
        self.refuse_complete: list[DomainError] = []
        self.lose_after: list[int] = []
        """Words after which each generation's engine dies."""
        self.queued_first = 0
        """Generations whose engines die while they wait."""
        self.refuse_generations = 0
        """Generations that their engines refuse."""
        self.pause = asyncio.Event()
        self.pause.set()

    # history
    async def branch(self, conversation_id: str, leaf_id: str) -> AsyncIterator[history_pb.Message]:
        del conversation_id, leaf_id
        yield self.reply

    async def complete(self, reply: history_pb.Message, result: history_pb.ReplyResult) -> history_pb.Message:
        del reply
        if self.refuse_complete:
            raise self.refuse_complete.pop()
        if not self.reply.HasField("result"):
            self.reply.result.CopyFrom(result)
        return self.reply

    # metadata
    async def conversation(self, conversation_id: str) -> Conversation:
        return Conversation(conversation_id=conversation_id, display_name="named")

    # the ledger
    async def settle(self, turn_id: str, usage: gen.TokenUsage) -> None:
        self.settled.append((turn_id, usage.completion_tokens))
        self.ended.set()

    async def release(self, turn_id: str) -> None:
        self.settled.append((turn_id, 0))
        self.ended.set()

    # the engines
    def opens_in(self, request: pb.GenerateRequest) -> float:
        assert request.owner.tenant_id == self.turn.tenant_id
        return 0

    @asynccontextmanager
    async def generate(self, request: pb.GenerateRequest, conversation_id: str) -> AsyncIterator["Services"]:
        assert conversation_id == self.turn.conversation_id
        self.generations.append(list(request.emitted_token_ids))
        yield self

    async def events(self) -> AsyncIterator[pb.GenerationEvent]:
        if self.refuse_generations:
            self.refuse_generations -= 1
            raise DomainError(Reason.ENGINE_OVERLOADED, "full", retry_after=1000)
        if self.queued_first:
            self.queued_first -= 1
            yield pb.GenerationEvent(queued=pb.GenerationQueued(queue_position=1))
            raise ReplicaLostError
        lose_after = self.lose_after.pop(0) if self.lose_after else len(WORDS) + 1
        for place in range(len(self.generations[-1]), len(WORDS)):
            if place == lose_after:
                raise ReplicaLostError
            await self.pause.wait()
            offset = sum(len(word) for word in WORDS[:place])
            delta = pb.GenerationDelta(token_offset=place, token_ids=[place], text_offset=offset, text=WORDS[place])
            yield pb.GenerationEvent(delta=delta)
        usage = gen.TokenUsage(prompt_tokens=2, completion_tokens=len(WORDS))
        yield pb.GenerationEvent(end=pb.GenerationEnd(finish_reason=gen.FINISH_REASON_STOP, usage=usage))

    def cancel(self) -> None: ...

    def lose(self) -> None: ...


@asynccontextmanager
async def running(services: Services, journal: Journal, config: Config) -> AsyncIterator[Runner]:
    writer = Writer(journal, config)
    peers = Peers(cast("History", services), cast("Metadata", services), cast("Ledger", services))
    hub = Hub(journal, peers.history, writer, Feeds(), config)
    story = Story(journal, writer, cast("Router", services), peers, hub, config)
    runner = Runner(journal, writer, story, config)
    tasks = [asyncio.create_task(writer.run()), asyncio.create_task(runner.run())]
    try:
        async with asyncio.timeout(15):
            yield runner
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_turn_is_told_to_its_end(journal: Journal, config: Config) -> None:
    services = Services()
    async with running(services, journal, config):
        await journal.enqueue(services.turn)
        await services.ended.wait()
    assert (services.reply.result.text, services.reply.result.status) == (
        "one two three four",
        history_pb.MESSAGE_STATUS_COMPLETED,
    )
    assert services.settled == [(services.turn.turn_id, 4)]


async def test_a_lost_engine_is_followed_by_another_from_the_tokens_there_are(journal: Journal, config: Config) -> None:
    services = Services()
    services.lose_after = [1, 3]
    async with running(services, journal, config):
        await journal.enqueue(services.turn)
        await services.ended.wait()
    assert services.generations == [[], [0], [0, 1, 2]]
    assert services.reply.result.text == "one two three four"


async def test_a_reply_of_which_engine_after_engine_dies_ends_failed(journal: Journal, config: Config) -> None:
    services = Services()
    services.lose_after = [1] + [1] * 100
    async with running(services, journal, config):
        await journal.enqueue(services.turn)
        await services.ended.wait()
    result = services.reply.result
    assert (result.status, result.failure_reason) == (history_pb.MESSAGE_STATUS_FAILED, "ENGINE_FAILED")
    assert result.text == "one "
    assert services.generations == [[]] + [[0]] * config.max_claims


async def test_replies_that_only_waited_for_an_engine_have_no_part_in_its_death(
    journal: Journal, config: Config
) -> None:
    services = Services()
    services.queued_first = config.max_claims + 2
    async with running(services, journal, config):
        await journal.enqueue(services.turn)
        await services.ended.wait()
    assert services.reply.result.text == "one two three four"


async def test_a_reply_of_which_runner_after_runner_dies_ends_failed(journal: Journal, config: Config) -> None:
    services = Services()
    await journal.enqueue(services.turn)
    await take_one(journal, services.turn)
    for _ in range(config.max_claims):
        await claimed(journal, services.turn)
        await lapse(journal, services.turn)
    async with running(services, journal, config):
        await services.ended.wait()
    result = services.reply.result
    assert (result.status, result.failure_reason) == (history_pb.MESSAGE_STATUS_FAILED, "ENGINE_FAILED")
    assert services.generations == []


async def test_an_engine_that_refuses_is_followed_by_another_as_soon_as_the_router_knows_one(
    journal: Journal, config: Config
) -> None:
    services = Services()
    services.refuse_generations = 2
    async with running(services, journal, config):
        await journal.enqueue(services.turn)
        await services.ended.wait()
    assert services.generations == [[], [], []]
    assert services.reply.result.text == "one two three four"


async def test_a_result_that_could_not_be_stored_is_not_generated_again(journal: Journal, config: Config) -> None:
    services = Services()
    services.refuse_complete = [DomainError(Reason.UNAVAILABLE, "away")] * 2
    async with running(services, journal, config):
        await journal.enqueue(services.turn)
        await services.ended.wait()
    assert len(services.generations) == 1
    assert services.reply.result.text == "one two three four"


async def test_what_can_never_be_stored_ends_failed_and_frees_the_queue(journal: Journal, config: Config) -> None:
    services = Services()
    services.refuse_complete = [DomainError(Reason.INVALID_ARGUMENT, "never")]
    async with running(services, journal, config):
        await journal.enqueue(services.turn)
        await services.ended.wait()
    result = services.reply.result
    assert (result.status, result.failure_reason) == (history_pb.MESSAGE_STATUS_FAILED, "INVALID_ARGUMENT")
    assert services.settled == [(services.turn.turn_id, 0)]


async def test_who_lost_the_turn_stores_no_result(journal: Journal, config: Config, server: Valkey) -> None:
    services = Services()
    services.pause.clear()
    async with running(services, journal, config) as runner:
        await journal.enqueue(services.turn)
        while not services.generations:
            await asyncio.sleep(0.01)
        await take_away(server, journal, services.turn)
        services.pause.set()
        while runner._here:
            await asyncio.sleep(0.01)
        assert not services.reply.HasField("result")
        assert services.settled == []


async def test_a_runner_that_leaves_hands_its_turn_over_at_once(journal: Journal, config: Config) -> None:
    services = Services()
    services.pause.clear()
    async with running(services, journal, config) as runner:
        await journal.enqueue(services.turn)
        while not services.generations:
            await asyncio.sleep(0.01)
        runner.leave()
        while (claim := await journal.claim(services.turn)) is None:
            await asyncio.sleep(0.01)
        assert claim.claims == 1


async def take_away(server: Valkey, journal: Journal, turn: Turn) -> None:
    """Has another runner claim the turn, as when its own slept until the lease had lapsed."""
    async with Redis.from_url(server.url) as redis:
        [record] = await redis.keys("*:record:*")
        await redis.hset(record, "lease", "0")
    assert await journal.claim(turn) is not None
