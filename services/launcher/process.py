"""One process of the mesh: started, watched, started again when it ends, stopped."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from services.chassis.config import child_environment
from services.launcher.backoff import Backoff
from services.launcher.output import Output
from services.launcher.probe import healthy
from services.launcher.program import Program
from services.launcher.refusal import RefusalError
from services.launcher.screen import Screen
from services.launcher.state import State
from services.launcher.stores import WITHHELD

BAD_CONFIGURATION = 2
"""The status of a process that would not start any other time either."""
PROBE_SECONDS = 0.2
"""Between two looks at whether a process is ready."""
WRITE_AGAIN_SECONDS = 1.0
"""Between attempts to write down what runs, while the disk is full."""
FLUSH_SECONDS = 1.0
"""For the last lines of a process that has ended."""
_LEASH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py")))


class Process:
    def __init__(self, program: Program, output: Output, screen: Screen, state: State) -> None:
        self.program = program
        self.ready = asyncio.Event()
        """Set when the process has been ready once."""
        self._output, self._screen, self._state = output, screen, state
        self._kept = False
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        """For good: it will not be started again."""
        self._pid: int | None = None

    async def keep(self) -> None:
        """Runs it until `stop` or `kill`. Raises RefusalError if it says that its configuration is wrong."""
        backoff, self._kept = Backoff(), True
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                status = await self._run()
                if self._stopping.is_set():
                    return
                if status == BAD_CONFIGURATION:
                    raise RefusalError(self._parting_words())
                delay = backoff.delay(time.monotonic() - started)
                self._screen.say(f"{self.program.label} {_how(status)}; it starts again in {delay:g} s", "WARNING")
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._stopping.wait()
        finally:
            self._output.close()
            self._ended.set()

    async def stop(self, seconds: float) -> None:
        """Asks it to end and waits so long, then kills it."""
        self._stopping.set()
        if not self._kept:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            self._screen.say(f"{self.program.label} did not end within {seconds:g} s and is killed", "WARNING")
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _run(self) -> int:
        child = await self._start()
        self._pid = child.pid
        try:
            if self._stopping.is_set():
                self._signal(signal.SIGTERM)
            self._screen.starting(self.program.label)
            await self._watch(child)
        finally:
            if child.returncode is None:
                self._signal(signal.SIGKILL)
            self._pid = None
            status = await child.wait()
        return status

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(*_LEASH, str(os.getpid()), *self.program.command),
            env=child_environment({"PYTHONUNBUFFERED": "1", **self.program.environment}, without=WITHHELD),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # A group of its own: the terminal's Ctrl-C reaches the launcher alone, and a kill all that it started.
            start_new_session=True,
        )

    async def _watch(self, child: asyncio.subprocess.Process) -> None:
        """Until it has ended, with its last words."""
        assert child.stdout
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._output.follow(child.stdout))
            beside = [group.create_task(self._write_down(child.pid)), group.create_task(self._await_ready())]
            await child.wait()
            for task in beside:
                task.cancel()
            # What it has started, if anything, has no work left, and may hold the pipe open.
            self._signal(signal.SIGKILL)
            await asyncio.wait([following], timeout=FLUSH_SECONDS)
            following.cancel()

    async def _write_down(self, pid: int) -> None:
        while not self._state.started(self.program, pid):  # noqa: ASYNC110 - nor does a disk tell when it has room
            await asyncio.sleep(WRITE_AGAIN_SECONDS)

    async def _await_ready(self) -> None:
        started = time.monotonic()
        while not await healthy(self.program.endpoint):  # noqa: ASYNC110 - nobody tells when another process is
            await asyncio.sleep(PROBE_SECONDS)
        self._screen.ready(self.program.label, time.monotonic() - started, self.program.address)
        self.ready.set()

    def _signal(self, number: signal.Signals) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, number)

    def _parting_words(self) -> str:
        words = "\n".join(f"  {line}" for line in self._output.last_words)
        return f"{self.program.label} cannot run with this configuration:\n{words}"


def _how(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
