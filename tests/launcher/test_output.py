import asyncio
from pathlib import Path

import pytest

from services.launcher import output
from services.launcher.line import Filter, Line
from services.launcher.output import LAST_WORDS, LINE_BYTES, Output
from services.launcher.screen import PlainScreen
from tests.launcher.small_mesh import program


class Shown(PlainScreen):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def show(self, label: str, line: Line) -> None:  # noqa: ARG002 - one program
        self.lines.append(line.text)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("auth-1.log*"))


async def follow(folder: Path, *chunks: bytes) -> tuple[Shown, Output, str]:
    screen, stream = Shown(), asyncio.StreamReader()
    said = Output(program(folder, "auth"), folder / "auth-1.log", screen, Filter(verbose=False))
    for chunk in chunks:
        stream.feed_data(chunk)
    stream.feed_eof()
    await said.follow(stream)
    said.close()
    return screen, said, (folder / "auth-1.log").read_text()


async def test_every_line_is_kept_however_it_was_cut(tmp_path: Path) -> None:
    screen, _, kept = await follow(tmp_path, b"one\ntw", b"o\r\n\n  three", b"\nno end")
    assert screen.lines == ["one", "two", "  three", "no end"]
    assert kept == "one\ntwo\n  three\nno end\n"


async def test_a_progress_bar_is_shown_now_and_then(tmp_path: Path) -> None:
    screen, _, kept = await follow(tmp_path, *(b"\r%d%%" % done for done in range(100)), b"\r100%\n")
    assert screen.lines == ["0%", "100%"]
    assert len(kept.split()) == 101


async def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    screen, _, _ = await follow(tmp_path, b"x" * (3 * LINE_BYTES + 10))
    assert max(map(len, screen.lines)) <= 2 * LINE_BYTES
    assert "".join(screen.lines) == "x" * (3 * LINE_BYTES + 10)


async def test_bytes_that_are_no_text_are_shown_as_numbers(tmp_path: Path) -> None:
    screen, _, _ = await follow(tmp_path, b"caf\xe9\n")
    assert screen.lines == ["caf\\xe9"]


async def test_the_last_words_are_of_this_start(tmp_path: Path) -> None:
    _, said, _ = await follow(tmp_path, *(b"%d\n" % number for number in range(100)))
    assert list(said.last_words) == [str(number) for number in range(100 - LAST_WORDS, 100)]


async def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "FILE_BYTES", 1000)
    _, _, kept = await follow(tmp_path, *(b"line %d\n" % number for number in range(1000)))
    assert kept.endswith("line 999\n")
    assert size(tmp_path) <= 2000


async def test_a_full_disk_costs_nothing_but_the_file(tmp_path: Path) -> None:
    (tmp_path / "auth-1.log").symlink_to("/dev/full")
    screen, stream = Shown(), asyncio.StreamReader()
    said = Output(program(tmp_path, "auth"), tmp_path / "auth-1.log", screen, Filter(verbose=False))
    stream.feed_data(b"one\ntwo\n")
    stream.feed_eof()
    await said.follow(stream)
    said.close()
    assert screen.lines == ["one", "two"]
