"""However the launcher ends, nothing of it is left behind."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from services.launcher.state import read_state
from tests.launcher.ended import left_of


@asynccontextmanager
async def launcher(folder: Path, *programs: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A launcher in its own process, with everything ready."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.launcher.small_mesh", str(folder), *programs),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout
    try:
        async with asyncio.timeout(60):
            await child.stdout.readuntil(b"all ready\n")
            yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_everything_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    async with launcher(tmp_path, "auth=calm", "edge=fork") as child:
        family = psutil.Process(child.pid).children(recursive=True)
        assert len(family) == 3
        child.send_signal(number)
        assert await child.wait() == 0
    assert await left_of(family) == []
    assert not (tmp_path / "state.json").exists()


async def test_a_killed_launcher_takes_its_processes_with_it(tmp_path: Path) -> None:
    async with launcher(tmp_path, "auth=calm", "edge=stubborn") as child:
        family = [psutil.Process(running.pid) for running in read_state(tmp_path)]
        assert len(family) == 2
        child.kill()
        await child.wait()
    left = await left_of(family)
    for process in left:
        process.kill()
    assert not left or sys.platform != "linux", "only Linux has a parent-death signal"
