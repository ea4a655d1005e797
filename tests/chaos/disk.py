"""A small disk of a mesh's own, which can be full."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.stage import Stage
from tests.servers import left_out

MEGABYTES = 48
_BALLAST = "ballast"


@asynccontextmanager
async def small_disk(stage: Path) -> AsyncIterator[Stage]:
    """The data folder beside the stage's is a file system of its own, in memory; the logs in it outlive it."""
    data = stage.parent / "data"
    data.mkdir()
    await _mount(data)
    try:
        yield Stage()
    finally:
        if (data / "logs").exists():
            shutil.copytree(data / "logs", stage / "logs")
        await _run("umount", "--lazy", str(data))


def fill(folder: Path) -> None:
    """Takes what is left of the disk, to the last block."""
    with (folder / _BALLAST).open("ab", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError:
                pass  # so much does not fit any more


def free(folder: Path) -> None:
    (folder / _BALLAST).unlink()


async def _mount(folder: Path) -> None:
    if os.geteuid() != 0:
        left_out.add("a full disk (only root may mount a small one)")
        pytest.skip("only root may mount a disk")
    if await _run("mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=0700", "tmpfs", str(folder)):
        left_out.add("a full disk (this machine lets nobody mount a small one)")
        pytest.skip("this machine lets nobody mount a disk")


async def _run(*words: str) -> int:
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()
