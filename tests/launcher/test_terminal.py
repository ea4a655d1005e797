import io

from rich.console import Console

from services.launcher.line import Line
from services.launcher.terminal import TerminalScreen


def test_the_table_becomes_a_log_when_everything_is_ready() -> None:
    drawn = io.StringIO()
    screen = TerminalScreen(Console(file=drawn, force_terminal=True, width=80))
    screen.starting("auth")
    screen.starting("history")
    screen.ready("auth", 1.25, "127.0.0.1:20000")
    screen.show("auth", Line("[bold]not markup", "WARNING"))
    screen.ready("history", 2, "127.0.0.1:20001")
    screen.settle()
    screen.settle()
    screen.starting("history")
    table, _, log = drawn.getvalue().rpartition("127.0.0.1:20001")
    assert "auth             ready in 1.2 s  127.0.0.1:20000" in table
    assert "WARNING [bold]not markup" in table
    assert log.endswith("history starting\n")
