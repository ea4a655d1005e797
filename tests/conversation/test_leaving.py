"""The end of an account, told with services that are dictionaries: whatever dies, and whoever writes meanwhile."""

import asyncio

import pytest

from services.chassis import deadline
from services.chassis.errors import DomainError, Reason
from services.conversation import leaving
from services.conversation.leaving import Receipt
from tests.conversation.world import World, delete


async def test_the_account_is_closed_first_and_deleted_last() -> None:
    world = World()
    receipt = await delete(world)
    assert world.left == []
    assert (world.steps[0], world.steps[-1]) == ("close account", "delete account")
    assert receipt == {
        ("conversation", "running replies"): 0,
        ("metadata", "settings"): 1,
        ("metadata", "conversations"): 5,
        ("history", "messages"): 10,
        ("auth", "accounts"): 1,
        ("auth", "api keys"): 4,
    }


async def test_an_empty_account_has_a_whole_receipt() -> None:
    world = World(conversations=0)
    assert len(await delete(world)) == 6
    assert world.left == []


async def test_wherever_it_dies_it_is_told_again_and_counts_nothing_twice() -> None:
    whole = World()
    expected = await delete(whole)
    for ends_at in range(len(whole.steps)):
        world = World()
        world.ends_at = ends_at
        with pytest.raises(DomainError) as died:
            await delete(world)
        assert died.value.reason is Reason.UNAVAILABLE
        world.ends_at = -1
        receipt = await delete(world)
        assert world.left == []
        assert all(receipt[kind] <= expected[kind] for kind in expected)


async def test_replies_stop_before_anything_is_deleted() -> None:
    world = World()
    world.running = {"c1": ["r1", "r2"], "c4": ["r4"]}
    world.reserved = 20
    receipt = await delete(world)
    assert sorted(world.stopped) == ["r1", "r2", "r4"]
    assert receipt["conversation", "running replies"] == 3
    first_deletion = next(step for step in world.steps if step.startswith("delete"))
    assert world.steps.index(first_deletion) > max(place for place, step in enumerate(world.steps) if "usage" in step)


async def test_a_message_that_was_being_sent_is_waited_for() -> None:
    world = World()
    world.reserved = 10  # and no reply runs yet

    def send() -> None:
        world.messages["c2"] += 2
        world.running["c2"] = ["late"]

    world.meanwhile["list conversations"] = send
    await delete(world)
    assert world.stopped == ["late"]
    assert world.left == []


async def test_what_a_dead_process_reserved_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "STOP_SECONDS", 0.3)
    world = World()
    world.reserved = 10
    await delete(world)
    assert world.left == []


@pytest.mark.parametrize("during", ["delete messages", "delete conversation", "delete settings", "list conversations"])
async def test_what_is_created_meanwhile_goes_too(during: str) -> None:
    world = World()
    world.meanwhile[during] = lambda: world.conversations.append("new")
    await delete(world)
    assert world.left == []


async def test_rows_that_come_between_the_deletion_of_messages_and_of_their_conversation_go_too() -> None:
    world = World(conversations=1)
    world.meanwhile["delete messages"] = lambda: world.messages.update(c0=2)
    receipt = await delete(world)
    assert world.left == []
    assert receipt["history", "messages"] == 4


async def test_two_at_once_delete_everything_once() -> None:
    world = World(conversations=20)
    receipts = await asyncio.gather(delete(world), delete(world))
    assert world.left == []
    assert sum(receipt["history", "messages"] for receipt in receipts) == 40
    assert sum(receipt["metadata", "conversations"] for receipt in receipts) == 20


async def test_a_large_account_takes_several_calls() -> None:
    world = World(conversations=40)
    world.seconds = 0.01
    calls = 0

    async def call() -> Receipt:
        deadline.begin(leaving.SPARE_SECONDS + 0.3)
        return await delete(world)

    while world.account:
        calls += 1
        [answer] = await asyncio.gather(asyncio.create_task(call()), return_exceptions=True)  # a deadline is its task's
        if world.account:
            assert isinstance(answer, DomainError)
            assert (answer.reason, answer.retry_after) == (Reason.DEADLINE_EXCEEDED, 0)
        assert calls < 20
    assert calls > 1
    assert world.left == []


async def test_it_stops_at_the_first_failure_and_leaves_nothing_running() -> None:
    world = World(conversations=30)
    world.seconds = 0.001
    world.ends_at = 40
    before = asyncio.all_tasks()
    with pytest.raises(DomainError):
        await delete(world)
    assert asyncio.all_tasks() == before


async def test_a_call_that_is_given_up_leaves_nothing_running() -> None:
    world = World(conversations=30)
    world.seconds = 0.01
    before = asyncio.all_tasks()
    telling = asyncio.create_task(delete(world))
    while len(world.steps) < 10:
        await asyncio.sleep(0.001)
    telling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await telling
    assert asyncio.all_tasks() == before
    await delete(world)
    assert world.left == []
