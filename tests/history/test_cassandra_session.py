"""The bridge to the driver's threads, with a driver that answers when the test says so."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from cassandra import OperationTimedOut

from services.chassis.errors import DomainError
from services.history.cassandra import session as module
from services.history.cassandra.session import Row, Session


class Future:
    """The driver's, of one request."""

    def __init__(self) -> None:
        self.answered: Callable[[list[Row] | None], None]
        self.failed: Callable[[Exception], None]

    def add_callbacks(self, answered: Any, failed: Any) -> None:
        self.answered, self.failed = answered, failed


class Driver:
    def __init__(self) -> None:
        self.sent: list[Future] = []

    def execute_async(self, statement: Any, *_: object, **__: object) -> Future:
        if statement == "wrong":
            raise TypeError("a value of the wrong type")
        self.sent.append(Future())
        return self.sent[-1]


def on_a_thread(call: Callable[..., None], *values: object) -> None:
    thread = threading.Thread(target=call, args=values)
    thread.start()
    thread.join()


@pytest.fixture
def driver() -> Driver:
    return Driver()


async def asked(session: Session, driver: Driver) -> tuple[asyncio.Task[list[Row]], Future]:
    task = asyncio.create_task(session.read("ask"))
    count = len(driver.sent)
    while len(driver.sent) == count:
        await asyncio.sleep(0)
    return task, driver.sent[-1]


async def test_requests_in_flight_are_bounded(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REQUESTS", 2)
    session = Session(driver)
    (_, first), (_, second) = [await asked(session, driver) for _ in range(2)]
    third = asyncio.create_task(session.read("ask"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(driver.sent) == 2
    on_a_thread(first.answered, None)
    while len(driver.sent) == 2:
        await asyncio.sleep(0)
    on_a_thread(second.answered, [])
    on_a_thread(driver.sent[2].answered, [(1,)])
    assert await third == [(1,)]


async def test_a_second_answer_counts_for_nothing(driver: Driver) -> None:
    session = Session(driver)
    task, future = await asked(session, driver)
    for rows in ([(1,)], [(2,)]):
        on_a_thread(future.answered, rows)
    on_a_thread(future.failed, OperationTimedOut())
    assert await task == [(1,)]
    await asyncio.sleep(0)
    assert session._slots._value == module.MAX_REQUESTS


async def test_a_cancelled_call_holds_its_slot_until_it_is_answered(driver: Driver) -> None:
    session = Session(driver)
    task, future = await asked(session, driver)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session._slots._value == module.MAX_REQUESTS - 1
    on_a_thread(future.answered, [(1,)])
    await asyncio.sleep(0)
    assert session._slots._value == module.MAX_REQUESTS


async def test_what_the_driver_says_stays_there(driver: Driver) -> None:
    session = Session(driver)
    task, future = await asked(session, driver)
    on_a_thread(future.failed, OperationTimedOut("10.0.0.7 did not answer"))
    with pytest.raises(DomainError) as unavailable:
        await task
    assert unavailable.value.message == "The store is not available."


async def test_a_statement_that_cannot_be_sent_holds_no_slot(driver: Driver) -> None:
    session = Session(driver)
    with pytest.raises(TypeError):
        await session.read("wrong")
    assert session._slots._value == module.MAX_REQUESTS


def test_an_answer_after_the_end_of_the_loop_is_dropped(driver: Driver) -> None:
    async def ask() -> Future:
        task, future = await asked(Session(driver), driver)
        task.cancel()
        return future

    future = asyncio.run(ask())
    on_a_thread(future.answered, [(1,)])
