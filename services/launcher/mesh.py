"""Everything that runs: started in the order of its needs, kept running, stopped in reverse."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from services.launcher.process import Process
from services.launcher.refusal import RefusalError
from services.launcher.screen import Screen
from services.launcher.stop import Stop

REMIND_SECONDS = 15.0
"""Between two words about what is still awaited."""


class Mesh:
    def __init__(self, processes: Sequence[Process], screen: Screen, stop: Stop, stop_seconds: float) -> None:
        """A process may take `stop_seconds` to end before it is killed."""
        self._processes, self._screen, self._stop, self._stop_seconds = processes, screen, stop, stop_seconds

    async def run(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        """Until asked to stop; then everything has ended. Raises the RefusalError that ended it, if one did."""
        async with asyncio.TaskGroup() as group:
            beginning = [group.create_task(self._begin(process, group)) for process in self._processes]
            beginning.append(group.create_task(self._settle(when_ready)))
            await self._stop.asked.wait()
            for task in beginning:
                task.cancel()
            self._screen.settle()
            self._screen.say("Stopping. Ctrl-C again stops at once.")
            await self._end()
        if self._stop.reason:
            raise self._stop.reason

    async def _begin(self, process: Process, group: asyncio.TaskGroup) -> None:
        for other in self._processes:
            if other.program.name in process.program.after:
                await other.ready.wait()
        group.create_task(self._keep(process))

    async def _keep(self, process: Process) -> None:
        try:
            await process.keep()
        except RefusalError as refusal:
            self._stop.because(refusal)

    async def _settle(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        while waiting := [process for process in self._processes if not process.ready.is_set()]:
            try:
                async with asyncio.timeout(REMIND_SECONDS):
                    for process in waiting:
                        await process.ready.wait()
            except TimeoutError:
                names = ", ".join(process.program.label for process in waiting if not process.ready.is_set())
                self._screen.say(f"Still waiting for {names}.")
        self._screen.settle()
        try:
            await when_ready()
        except RefusalError as refusal:
            self._stop.because(refusal)

    async def _end(self) -> None:
        hurrying = asyncio.create_task(self._hurry())
        try:
            for stage in sorted({process.program.stage for process in self._processes}, reverse=True):
                members = [process for process in self._processes if process.program.stage == stage]
                await asyncio.gather(*(process.stop(self._stop_seconds) for process in members))
        finally:
            hurrying.cancel()

    async def _hurry(self) -> None:
        await self._stop.at_once.wait()
        for process in self._processes:
            process.kill()
