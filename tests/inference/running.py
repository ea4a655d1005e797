"""An engine that runs for as long as a block does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from services.inference.engine import Engine

E = TypeVar("E", bound=Engine)


@asynccontextmanager
async def running(engine: E) -> AsyncIterator[E]:
    task = asyncio.create_task(engine.run())
    ready = asyncio.create_task(engine.wait_ready())
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield engine
    finally:
        ready.cancel()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
