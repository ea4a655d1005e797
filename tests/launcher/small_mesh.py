"""A launcher with stand-ins for services: `python -m tests.launcher.small_mesh FOLDER NAME=MANNER...`"""

import asyncio
import sys
from pathlib import Path

from services.launcher.line import Filter
from services.launcher.mesh import Mesh
from services.launcher.output import Output
from services.launcher.probe import Endpoint, Kind
from services.launcher.process import Process
from services.launcher.program import Program
from services.launcher.refusal import RefusalError
from services.launcher.screen import PlainScreen, Screen
from services.launcher.state import State
from services.launcher.stop import Stop

STANDIN = Path(__file__).with_name("standin.py")


def program(
    folder: Path, name: str, manner: str = "calm", *, stage: int = 0, after: frozenset[str] = frozenset()
) -> Program:
    socket = str(folder / f"{name}.sock")
    command = (sys.executable, "-I", "-S", str(STANDIN), socket, manner)
    return Program(name, command, Endpoint(Kind.REDIS, socket), socket, after=after, stage=stage)


def process_of(folder: Path, program: Program, screen: Screen, state: State | None = None) -> Process:
    output = Output(program, folder / program.log_name, screen, Filter(verbose=False))
    return Process(program, output, screen, state or State(folder))


def mesh_of(folder: Path, programs: list[Program], screen: Screen, stop: Stop, stop_seconds: float = 10) -> Mesh:
    state = State(folder)
    processes = [process_of(folder, program, screen, state) for program in programs]
    return Mesh(processes, screen, stop, stop_seconds)


async def main(folder: Path, arguments: list[str]) -> None:
    stop, screen = Stop(), PlainScreen()
    programs = [program(folder, *argument.split("=")) for argument in arguments]

    async def when_ready() -> None:
        screen.say("all ready")

    with stop.on_signals(), State(folder).kept():
        await mesh_of(folder, programs, screen, stop).run(when_ready)
    screen.say("all stopped")


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
    except RefusalError as refusal:
        sys.exit(f"refused: {refusal}")
