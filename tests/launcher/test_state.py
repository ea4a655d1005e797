import asyncio
from pathlib import Path

from services.launcher.screen import PlainScreen
from services.launcher.state import State, read_state
from tests.launcher.small_mesh import process_of, program


def pids(folder: Path) -> list[int]:
    return [running.pid for running in read_state(folder)] if (folder / "state.json").exists() else []


async def test_what_cannot_be_written_down_runs_all_the_same_and_is_written_later(tmp_path: Path) -> None:
    full = tmp_path / "full"
    process = process_of(tmp_path, program(tmp_path, "auth"), PlainScreen(), State(full))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(process.keep())
        await process.ready.wait()
        assert not pids(tmp_path)
        full.mkdir()
        while not pids(full):
            await asyncio.sleep(0.02)
        await process.stop(10)
