import asyncio
import errno
import logging

import pytest

from services.edge.shortage import Shortage


async def test_the_log_has_one_line_for_all_who_knock(caplog: pytest.LogCaptureFixture) -> None:
    loop, shortage = asyncio.get_running_loop(), Shortage()
    with caplog.at_level(logging.INFO):
        for _ in range(2_000):
            shortage(loop, {"message": "socket.accept()", "exception": OSError(errno.EMFILE, "Too many open files")})
    [line] = caplog.records
    assert (line.getMessage(), line.fields) == ("connections wait", {"why": "EMFILE"})  # type: ignore[attr-defined]


async def test_anything_else_is_said_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    Shortage()(asyncio.get_running_loop(), {"message": "a task failed", "exception": ValueError()})
    [line] = caplog.records
    assert line.levelname == "ERROR"
