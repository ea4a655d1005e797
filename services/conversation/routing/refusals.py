"""Until when a replica wants nothing new, of anybody or of one line."""

import time

from parley.inference.v1 import inference_service_pb2 as pb

MAX_LINES = 1024
"""That one replica's refusals are remembered of; the one that ends first is forgotten first."""

Line = tuple[str, int]
"""A tenant and a priority: what is too much for one may have room in another."""


def line_of(request: pb.GenerateRequest) -> Line:
    return request.owner.tenant_id, request.priority


class Refusals:
    def __init__(self) -> None:
        self._all = float("-inf")
        self._lines: dict[Line, float] = {}

    def refuse(self, seconds: float, line: Line | None) -> None:
        """It takes nothing new for so long: of a line, or of anybody."""
        until = time.monotonic() + seconds
        if line is None:
            self._all = until
            return
        self._lines.pop(line, None)
        if len(self._lines) >= MAX_LINES:
            del self._lines[min(self._lines, key=self._lines.__getitem__)]
        self._lines[line] = until

    def until(self, line: Line) -> float:
        """On the monotonic clock."""
        return max(self._all, self._lines.get(line, float("-inf")))
