"""Whether processes have ended."""

import asyncio

import psutil


async def left_of(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run after a while. Who has ended and waits for its parent's attention has ended."""
    for _ in range(500):
        if not (left := [process for process in family if works(process)]):
            break
        await asyncio.sleep(0.02)
    return left


def works(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
