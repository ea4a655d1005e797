"""The router and real replicas: who is given a turn, and who finishes what it has."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.conversation.routing import Generation, ReplicaLostError
from services.conversation.routing.policy import SLACK_TOKENS
from tests.conversation.replicas import FakeReplica, Mesh, a_load, a_replica, a_request, routed, served, until

OVERLOADED = DomainError(Reason.ENGINE_OVERLOADED, "full", retry_after=20)


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    replicas = [a_replica() for _ in range(3)]
    async with AsyncExitStack() as opened:
        for replica in replicas:
            await opened.enter_async_context(served(replica))
        yield await opened.enter_async_context(routed(replicas))


async def ended(generation: Generation) -> bool:
    return [event.HasField("end") async for event in generation.events()][-1]


async def taken(mesh: Mesh, conversation_id: str, generation_id: str = "") -> FakeReplica:
    """Who takes a turn, which is then stopped."""
    generation_id = generation_id or f"{conversation_id}/{sum(len(each.started) for each in mesh.replicas)}"
    async with mesh.router.generate(a_request(generation_id), conversation_id):
        await until(lambda: any(generation_id in replica.started for replica in mesh.replicas))
    return next(replica for replica in mesh.replicas if generation_id in replica.started)


async def test_a_conversation_stays_and_conversations_spread(mesh: Mesh) -> None:
    first = [await taken(mesh, f"c{number}") for number in range(20)]
    again = [await taken(mesh, f"c{number}") for number in range(20)]
    assert first == again
    assert {replica.address for replica in first} == {replica.address for replica in mesh.replicas}


async def test_tokens_in_flight_count_from_the_start_to_the_end(mesh: Mesh) -> None:
    favourite = await taken(mesh, "c")
    [replica] = [each for each in mesh.fleet.replicas if each.address == favourite.address]
    async with mesh.router.generate(a_request("g", "x" * 4000), "c") as generation:
        assert 1100 <= replica.in_flight_tokens <= 1200
        favourite.go_on.set()
        assert await ended(generation)
        assert replica.in_flight_tokens == 0
    async with mesh.router.generate(a_request("h"), "c"):
        assert replica.in_flight_tokens > 0
    assert replica.in_flight_tokens == 0


async def test_a_saturated_replica_is_left_and_found_again(mesh: Mesh) -> None:
    favourite = await taken(mesh, "c")
    async with mesh.router.generate(a_request("long", "x" * 5 * SLACK_TOKENS), "c"):
        assert await taken(mesh, "c") is not favourite
    assert await taken(mesh, "c") is favourite


async def test_a_replica_that_says_that_turns_wait_is_left(mesh: Mesh) -> None:
    favourite = await taken(mesh, "c")
    favourite.load = a_load(expected_wait=5)
    await until(lambda: any(each.load and each.load.expected_wait.seconds for each in mesh.fleet.replicas))
    assert await taken(mesh, "c") is not favourite


async def test_a_draining_replica_finishes_what_it_has_and_gets_nothing_new(mesh: Mesh) -> None:
    favourite = await taken(mesh, "c")
    async with mesh.router.generate(a_request("before"), "c") as generation:
        favourite.load = a_load(draining=True)
        await until(lambda: any(each.draining for each in mesh.fleet.replicas))
        assert await taken(mesh, "c") is not favourite
        favourite.go_on.set()
        assert await ended(generation)


async def refused(mesh: Mesh, generation_id: str, conversation_id: str) -> DomainError:
    with pytest.raises(DomainError) as caught:
        async with mesh.router.generate(a_request(generation_id), conversation_id) as generation:
            await ended(generation)
    return caught.value


async def test_a_replica_that_refuses_is_left_alone_and_another_takes_the_turn(mesh: Mesh) -> None:
    favourite = await taken(mesh, "c")
    favourite.refusal = OVERLOADED
    assert (await refused(mesh, "g/1", "c")).reason is Reason.ENGINE_OVERLOADED
    assert mesh.router.opens_in(a_request("next")) == 0
    asked = len(favourite.started)
    assert await taken(mesh, "c") is not favourite
    assert len(favourite.started) == asked


async def test_where_all_refuse_each_is_asked_once_and_then_left_alone_as_long_as_it_said(mesh: Mesh) -> None:
    for replica in mesh.replicas:
        replica.refusal = OVERLOADED
    for attempt in range(3):
        await refused(mesh, f"g/{attempt}", "c")
    assert [len(replica.started) for replica in mesh.replicas] == [1, 1, 1]
    error = await refused(mesh, "g/4", "c")
    assert (error.reason, error.retry_after is not None) == (Reason.ENGINE_OVERLOADED, True)
    assert 15 < mesh.router.opens_in(a_request("next")) <= 30
    assert [len(replica.started) for replica in mesh.replicas] == [1, 1, 1]


async def test_what_is_too_much_of_one_tenant_or_of_no_hurry_closes_no_replica_to_the_others(mesh: Mesh) -> None:
    favourite = await taken(mesh, "c")
    for replica in mesh.replicas:
        replica.refusal = OVERLOADED
    greedy, patient = a_request("greedy"), a_request("patient")
    greedy.owner.tenant_id = "greedy"
    patient.priority = pb.PRIORITY_BATCH
    for request in (greedy, patient):
        while mesh.router.opens_in(request) == 0:
            with suppress(DomainError):
                async with mesh.router.generate(request, "c") as generation:
                    await ended(generation)
    for replica in mesh.replicas:
        replica.refusal = None
    assert await taken(mesh, "c") is favourite


async def test_what_no_other_replica_would_do_better_leaves_it_open(mesh: Mesh) -> None:
    favourite = await taken(mesh, "c")
    favourite.refusal = DomainError(Reason.CONTEXT_LENGTH_EXCEEDED, "too long")
    assert (await refused(mesh, "g", "c")).reason is Reason.CONTEXT_LENGTH_EXCEEDED
    favourite.refusal = None
    assert await taken(mesh, "c") is favourite


async def test_a_turn_of_a_lost_replica_goes_to_another_at_once() -> None:
    replicas = [a_replica() for _ in range(2)]
    async with AsyncExitStack() as opened:
        servers = [await opened.enter_async_context(served(replica)) for replica in replicas]
        mesh = await opened.enter_async_context(routed(replicas))
        favourite = await taken(mesh, "c")
        with suppress(ReplicaLostError):
            async with mesh.router.generate(a_request("g/1"), "c") as generation:
                await servers[replicas.index(favourite)].stop(0)
                assert not await ended(generation)
        assert mesh.router.opens_in(a_request("next")) == 0
        assert await taken(mesh, "c") is not favourite


async def test_a_replica_that_left_finishes_what_it_has_and_is_closed_then(mesh: Mesh) -> None:
    favourite = await taken(mesh, "c")
    others = [replica for replica in mesh.replicas if replica is not favourite]
    async with mesh.router.generate(a_request("before"), "c") as generation:
        await mesh.name(*others)
        assert await taken(mesh, "c") is not favourite
        assert favourite.address in mesh.open()
        favourite.go_on.set()
        assert await ended(generation)
    await until(lambda: mesh.open() == {replica.address for replica in others})


async def test_a_replica_that_left_is_closed_when_it_had_its_time() -> None:
    replica = a_replica()
    async with served(replica), routed([replica], leaving_seconds=0) as mesh:
        async with mesh.router.generate(a_request("long"), "c") as generation:
            await mesh.name()
            with pytest.raises(ReplicaLostError):
                await ended(generation)
        await until(lambda: not mesh.open())


async def test_a_replica_that_returns_before_it_finished_goes_on(mesh: Mesh) -> None:
    favourite = await taken(mesh, "c")
    async with mesh.router.generate(a_request("before"), "c") as generation:
        await mesh.name(*(replica for replica in mesh.replicas if replica is not favourite))
        await mesh.name(*mesh.replicas)
        assert await taken(mesh, "c") is favourite
        favourite.go_on.set()
        assert await ended(generation)


async def test_a_replica_that_comes_takes_only_turns_that_are_its_own(mesh: Mesh) -> None:
    conversations = [f"c{number}" for number in range(20)]
    newcomer, *others = mesh.replicas
    await mesh.name(*others)
    before = [await taken(mesh, conversation_id) for conversation_id in conversations]
    await mesh.name(*mesh.replicas)
    after = [await taken(mesh, conversation_id) for conversation_id in conversations]
    assert {now.address for then, now in zip(before, after, strict=True) if then is not now} == {newcomer.address}


async def test_who_leaves_stops_its_generation(mesh: Mesh) -> None:
    replica = await taken(mesh, "c", "g")
    await until(lambda: replica.cancelled == ["g"])


async def test_without_a_replica_a_turn_is_lost_and_a_question_unavailable() -> None:
    async with routed([]) as mesh:
        with pytest.raises(ReplicaLostError):
            async with mesh.router.generate(a_request("g"), "c"):
                pass
        assert mesh.router.opens_in(a_request("next")) > 0
        with pytest.raises(DomainError) as away:
            await mesh.router.count_tokens(pb.CountTokensRequest())
        assert away.value.reason is Reason.UNAVAILABLE


async def test_models_are_known_from_any_replica(mesh: Mesh) -> None:
    assert (await mesh.router.model("")).model_id == "m"
