"""The supervisor with real processes that stand in for services."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from services.launcher import backoff
from services.launcher.refusal import RefusalError
from services.launcher.screen import PlainScreen
from services.launcher.state import read_state
from services.launcher.stop import Stop
from tests.launcher.ended import left_of
from tests.launcher.small_mesh import mesh_of, process_of, program


class Words(PlainScreen):
    """A screen that remembers, and calls back when it is told something that somebody waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._awaited: dict[str, Callable[[], None]] = {}

    def on(self, text: str, act: Callable[[], None]) -> None:
        """Once, at the first words that hold `text`."""
        self._awaited[text] = act

    def say(self, text: str, level: str = "INFO") -> None:
        super().say(text, level)
        text = " ".join(text.split())
        self.said.append(text)
        for awaited in [awaited for awaited in self._awaited if awaited in text]:
            self._awaited.pop(awaited)()

    def first(self, *texts: str) -> list[str]:
        """What was said of these, by its beginning, in order."""
        return [text for said in self.said for text in texts if said.startswith(text)]


@pytest.fixture
def others() -> set[psutil.Process]:
    """What other tests keep running."""
    return set(psutil.Process().children(recursive=True))


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
def stop() -> Stop:
    return Stop()


async def nothing() -> None:
    pass


async def test_programs_start_in_the_order_of_their_needs_and_stop_in_reverse(
    tmp_path: Path, words: Words, stop: Stop, others: set[psutil.Process]
) -> None:
    programs = [program(tmp_path, "edge", stage=1, after=frozenset({"auth"})), program(tmp_path, "auth")]

    async def when_ready() -> None:
        assert {running.name for running in read_state(tmp_path)} == {"auth", "edge"}
        stop.asked.set()

    await mesh_of(tmp_path, programs, words, stop).run(when_ready)
    order = ["auth starting", "auth ready", "edge starting", "edge ready"]
    assert words.first(*order) == order
    assert set(psutil.Process().children(recursive=True)) <= others


async def test_a_crashed_process_starts_again(
    tmp_path: Path, words: Words, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.01)
    words.on("it starts again in 0.02 s", stop.asked.set)
    await mesh_of(tmp_path, [program(tmp_path, "history", "crash")], words, stop).run(nothing)
    assert "history ended with status 1; it starts again in 0.01 s" in words.said
    assert len(words.first("history starting")) == 2


async def test_a_killed_process_starts_again(tmp_path: Path, words: Words, stop: Stop) -> None:
    words.on("was ended by SIGKILL", lambda: words.on("history ready", stop.asked.set))

    async def kill() -> None:
        os.kill(read_state(tmp_path)[0].pid, signal.SIGKILL)

    await mesh_of(tmp_path, [program(tmp_path, "history")], words, stop).run(kill)
    assert len(words.first("history ready")) == 2


async def test_a_wrong_configuration_stops_the_mesh_and_is_quoted(
    tmp_path: Path, words: Words, stop: Stop, others: set[psutil.Process]
) -> None:
    programs = [program(tmp_path, "auth"), program(tmp_path, "edge", "refuse", stage=1)]
    with pytest.raises(RefusalError, match="edge cannot run with this configuration:\n  PARLEY_COLOUR: must be green"):
        await mesh_of(tmp_path, programs, words, stop).run(nothing)
    assert set(psutil.Process().children(recursive=True)) <= others


async def test_a_refusal_after_the_start_stops_the_mesh(
    tmp_path: Path, words: Words, stop: Stop, others: set[psutil.Process]
) -> None:
    async def refuse() -> None:
        raise RefusalError("No")

    with pytest.raises(RefusalError, match=r"^No$"):
        await mesh_of(tmp_path, [program(tmp_path, "auth")], words, stop).run(refuse)
    assert set(psutil.Process().children(recursive=True)) <= others


async def test_who_does_not_end_is_killed(tmp_path: Path, words: Words, stop: Stop) -> None:
    words.on("ready", stop.asked.set)
    mesh = mesh_of(tmp_path, [program(tmp_path, "auth", "stubborn")], words, stop, stop_seconds=0.1)
    await mesh.run(nothing)
    assert "auth did not end within 0.1 s and is killed" in words.said


async def test_the_second_request_does_not_wait(
    tmp_path: Path, words: Words, stop: Stop, others: set[psutil.Process]
) -> None:
    words.on("ready", stop.asked.set)
    words.on("Stopping", stop.at_once.set)
    async with asyncio.timeout(30):
        mesh = mesh_of(tmp_path, [program(tmp_path, "auth", "stubborn")], words, stop, stop_seconds=600)
        await mesh.run(nothing)
    assert set(psutil.Process().children(recursive=True)) <= others


async def test_what_a_process_has_started_ends_with_it(tmp_path: Path, words: Words, stop: Stop) -> None:
    async def when_ready() -> None:
        (child,) = psutil.Process(read_state(tmp_path)[0].pid).children()
        grandchildren.append(child)
        stop.asked.set()

    grandchildren: list[psutil.Process] = []
    await mesh_of(tmp_path, [program(tmp_path, "auth", "fork")], words, stop).run(when_ready)
    assert await left_of(grandchildren) == []


async def test_stopping_before_a_need_is_met_starts_nothing(tmp_path: Path, words: Words, stop: Stop) -> None:
    words.on("auth starting", stop.asked.set)
    programs = [program(tmp_path, "auth"), program(tmp_path, "edge", after=frozenset({"auth"}))]
    await mesh_of(tmp_path, programs, words, stop).run(nothing)
    assert "edge starting" not in words.said


async def test_a_cancellation_that_comes_with_the_end_of_a_process_counts(tmp_path: Path, words: Words) -> None:
    for ticks in range(6):
        process = process_of(tmp_path, program(tmp_path, "auth"), words)
        process._kept = True
        stopping = asyncio.create_task(process.stop(10))
        await asyncio.sleep(0)
        process._ended.set()
        for _ in range(ticks):
            await asyncio.sleep(0)
        if stopping.cancel():
            with pytest.raises(asyncio.CancelledError):
                await stopping
        process._output.close()
