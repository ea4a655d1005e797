"""What the person who started the mesh sees."""

import sys
from typing import Protocol, TextIO

from services.launcher.line import Line

LABEL_WIDTH = 15


class Screen(Protocol):
    def starting(self, label: str) -> None:
        """A process was started."""

    def ready(self, label: str, seconds: float, address: str) -> None:
        """It can do its work, so many seconds after its start."""

    def show(self, label: str, line: Line) -> None:
        """A line of its log."""

    def say(self, text: str, level: str = "INFO") -> None:
        """The launcher's own words."""

    def settle(self) -> None:
        """Every process is ready, or none is awaited any more."""


def readable(label: str, line: Line) -> str:
    level = f"{line.level} " if line.serious else ""
    return f"{line.time:%H:%M:%S} {label:<{LABEL_WIDTH}} {level}{line.text}"


class PlainScreen:
    """Lines, for a file or a pipe."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def starting(self, label: str) -> None:
        self.say(f"{label:<{LABEL_WIDTH}} starting")

    def ready(self, label: str, seconds: float, address: str) -> None:
        self.say(f"{label:<{LABEL_WIDTH}} ready in {seconds:.1f} s  {address}")

    def show(self, label: str, line: Line) -> None:
        self.say(readable(label, line))

    def say(self, text: str, level: str = "INFO") -> None:  # noqa: ARG002 - a file has no colours
        print(text, file=self._stream, flush=True)

    def settle(self) -> None:
        pass
