"""The screen of a terminal: a table of what starts, then one log with colours."""

import time

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from services.launcher.line import Line
from services.launcher.screen import LABEL_WIDTH, readable

_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red", "GOOD": "green"}


class TerminalScreen:
    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._spinner = Spinner("dots")
        self._started: dict[str, float] = {}
        self._ready: dict[str, str] = {}
        self._live: Live | None = Live(
            get_renderable=self._table, console=self._console, refresh_per_second=5, redirect_stdout=False
        )
        self._live.start()

    def starting(self, label: str) -> None:
        self._started[label] = time.monotonic()
        self._ready.pop(label, None)
        if self._live is None:
            self.say(f"{label} starting")

    def ready(self, label: str, seconds: float, address: str) -> None:
        self._ready[label] = f"ready in {seconds:.1f} s  {address}"
        if self._live is None:
            self.say(f"{label} {self._ready[label]}")

    def show(self, label: str, line: Line) -> None:
        self.say(readable(label, line), line.level)

    def say(self, text: str, level: str = "INFO") -> None:
        self._console.print(Text(text, style=_STYLES.get(level, "")), soft_wrap=True)

    def settle(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=1)
        table.add_column(width=LABEL_WIDTH)
        table.add_column()
        for label, started in tuple(self._started.items()):  # drawn by a thread of its own
            if label in self._ready:
                table.add_row(Text("✓", style="green"), label, self._ready[label])
            else:
                table.add_row(self._spinner, label, f"{time.monotonic() - started:.0f} s")
        return table
