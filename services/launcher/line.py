"""A log line of a service, made short and readable."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

ROUTINE = frozenset({"call", "http", "websocket", "listening", "draining", "stopped", "turn taken"})
"""What services say once for each call or turn, and what the launcher says itself."""
STARTING = frozenset({"ready", "not ready"})
"""What the launcher says while the mesh starts; later it is news."""
_HIDDEN = frozenset({"time", "level", "service", "message", "exception", "trace_id", "config"})
"""Fields that the file has and the screen does not need."""
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])")


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    level: str = "INFO"
    message: str = ""
    """Of a line that is JSON."""
    time: datetime = field(default_factory=lambda: datetime.now().astimezone())

    @property
    def serious(self) -> bool:
        return self.level not in ("DEBUG", "INFO")


def read_line(raw: str) -> Line:
    """A JSON line as its message and fields; any other (a traceback, a progress bar) without control codes."""
    try:
        entry = json.loads(raw)
        level, message = str(entry["level"]), str(entry["message"])
        time = datetime.fromisoformat(entry["time"]).astimezone()
    except (ValueError, TypeError, KeyError):
        return Line(_visible(_ESCAPES.sub("", raw)))
    words = [message, *_pairs(entry), *filter(None, [entry.get("exception")])]
    return Line(_visible(" ".join(map(str, words))), level, message, time)


def _pairs(entry: Mapping[str, object]) -> list[str]:
    return [f"{name}={_value(value)}" for name, value in entry.items() if name not in _HIDDEN]


def _value(value: object) -> str:
    if isinstance(value, str) and value and not re.search(r"[\s\"]", value):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _visible(text: str) -> str:
    """Nothing in it can move the cursor or change the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


class Filter:
    """Which lines reach the screen: all but the routine."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self.settled = False

    def passes(self, line: Line, *, quiet: bool) -> bool:
        """`quiet` is the program's wish to be seen in its file alone."""
        if self._verbose:
            return True
        if not line.message:
            return not quiet
        routine = ROUTINE if self.settled else ROUTINE | STARTING
        return line.serious or (line.level == "INFO" and line.message not in routine)
