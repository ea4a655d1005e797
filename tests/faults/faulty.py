"""A service whose store is behind a proxy, what its callers see of it, and a replica of it whose store is well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.faults.places import Place
from tests.faults.process import NOT_SERVING, QUICK_SECONDS, SERVING, Running, started
from tests.faults.standins import StandIns
from tests.faults.subjects import Subject
from tests.proxy import Proxy, proxy

RED_SECONDS = 4.0
"""Until a service says that it cannot work: it looks every second, and gives its store one second to answer."""
GREEN_SECONDS = 8.0
"""Until it works again."""
GIVEN_UP_SECONDS = 6.0
"""Until a call that would wait longer is told that the store is not available."""
SLACK_SECONDS = 1.0
"""By so much a deadline may be missed on a busy machine."""

T = TypeVar("T")
Places = Sequence[tuple[Subject, Place]]
"""Each service with a place that its store may use, with its schema up to date."""


@dataclass(frozen=True, slots=True)
class Faulty:
    subject: Subject
    place: Place
    between: Proxy
    running: Running
    around: StandIns

    def __str__(self) -> str:
        return f"{self.subject.service} on {self.subject.store}"

    async def write(self, seconds: float = 5.0) -> float:
        """A call that needs the store; returns how long it took."""
        prepared = await self.subject.prepare(self.around)
        began = time.monotonic()
        await self.subject.write(self.running.channel, self.around, seconds, prepared)
        return time.monotonic() - began

    async def is_red(self) -> float:
        return await self.running.health.until(NOT_SERVING, RED_SECONDS)

    async def is_green(self) -> float:
        """It says that it can work, and does."""
        took = await self.running.health.until(SERVING, GREEN_SECONDS)
        await self.write()
        return took

    async def is_given_up(self) -> None:
        """A call with much time is told soon, and in the words of the contract, that it can be made again."""
        error, took = await self._fails(seconds=2 * GIVEN_UP_SECONDS)
        assert took < GIVEN_UP_SECONDS
        _require_unavailable(error)

    async def keeps_a_deadline(self, seconds: float = 1.0) -> None:
        error, took = await self._fails(seconds)
        assert took < seconds + SLACK_SECONDS
        assert error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)

    async def _fails(self, seconds: float) -> tuple[grpc.aio.AioRpcError, float]:
        """How a call that needs the store fails, and after how many seconds."""
        prepared = await self.subject.prepare(self.around)
        began = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await self.subject.write(self.running.channel, self.around, seconds, prepared)
        return failed.value, time.monotonic() - began

    async def does_what_needs_no_store(self) -> None:
        await self.running.health.now()
        began = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.subject.refuse(self.running.channel, self.around, 5)
        assert time.monotonic() - began < QUICK_SECONDS
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def _require_unavailable(error: grpc.aio.AioRpcError) -> None:
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    status = rpc_status.from_call(cast("grpc.Call", error))
    assert status
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert [detail.Unpack(info) for detail in status.details if detail.Is(info.DESCRIPTOR)] == [True]
    assert [detail.Unpack(retry) for detail in status.details if detail.Is(retry.DESCRIPTOR)] == [True]
    assert (info.reason, info.domain) == ("UNAVAILABLE", "parley")
    assert retry.retry_delay.ToMilliseconds() > 0


@asynccontextmanager
async def faulty(subject: Subject, place: Place, around: StandIns, *, away: bool = False) -> AsyncIterator[Faulty]:
    """Its process; `away`: nobody is at the store's address when it starts."""
    async with proxy(place.server.host, place.server.port) as between:
        if away:
            await between.close()
        environment = subject.environment(place, place.through(between.port), around)
        async with started(subject.service, environment) as running:
            yield Faulty(subject, place, between, running, around)


@asynccontextmanager
async def all_faulty(places: Places, around: StandIns, *, away: bool = False) -> AsyncIterator[list[Faulty]]:
    """One of each service, side by side, because all that their tests do is wait."""
    async with AsyncExitStack() as opened:
        opening = [faulty(subject, place, around, away=away) for subject, place in places]
        yield await asyncio.gather(*map(opened.enter_async_context, opening))


async def of_each(things: Iterable[T], check: Callable[[T], Awaitable[object]]) -> None:
    """Checks the same of every one, side by side."""

    async def named(thing: T) -> None:
        try:
            await check(thing)
        except BaseException as error:
            error.add_note(f"It is {thing}.")
            raise

    async with asyncio.TaskGroup() as checking:
        for thing in things:
            checking.create_task(named(thing))
