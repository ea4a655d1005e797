"""Operations of the driver, and callers who give up."""

import asyncio

from services.chassis.errors import DomainError
from services.metadata.mongodb.calls import Calls


class Work:
    """Operations that end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.end = asyncio.Event()

    async def operation(self, number: int) -> int:
        self.begun.append(number)
        await self.end.wait()
        self.ended.append(number)
        if number < 0:
            raise ValueError(number)
        return number


async def settled() -> None:
    """Everything that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_so_many_run_at_once_and_the_others_in_their_turn() -> None:
    work = Work()
    async with Calls(2) as calls:
        tasks = [asyncio.create_task(calls.run(work.operation(n))) for n in range(5)]
        await settled()
        assert work.begun == [0, 1]
        work.end.set()
        assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]


async def test_what_has_begun_ends_and_what_waits_is_not_begun() -> None:
    work, unseen = Work(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    async with Calls(2) as calls:
        tasks = [asyncio.create_task(calls.run(work.operation(n))) for n in (1, -1, 2)]
        await settled()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        later = asyncio.create_task(calls.run(work.operation(3)))
        await settled()
        work.end.set()
        assert await later == 3
    assert work.begun == work.ended == [1, -1, 3]
    assert not unseen


async def test_closing_waits_for_what_was_left_behind() -> None:
    work = Work()
    async with Calls(1) as calls:
        task = asyncio.create_task(calls.run(work.operation(1)))
        await settled()
        task.cancel()
        asyncio.get_running_loop().call_later(0.01, work.end.set)
    assert work.ended == [1]


async def test_a_turn_that_does_not_come_and_a_full_queue_are_refused() -> None:
    work = Work()
    async with Calls(1, most_waiting=2, milliseconds=50) as calls:
        tasks = [asyncio.create_task(calls.run(work.operation(n))) for n in range(4)]
        results = await asyncio.gather(*tasks[1:], return_exceptions=True)
        assert [type(result) for result in results] == [DomainError] * 3
        assert work.begun == [0]
        work.end.set()
        assert await tasks[0] == 0
