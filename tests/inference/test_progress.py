"""Progress: a bar where somebody watches, lines in a log where nobody does, and nothing for what is quick."""

import io
import logging

import pytest
from huggingface_hub.utils.tqdm import enable_progress_bars

from services.inference import progress
from services.inference.download import Lines
from services.inference.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    monkeypatch.setattr(progress, "BAR_SECONDS", 0)
    caplog.set_level(logging.INFO)


def percents(caplog: pytest.LogCaptureFixture) -> list[object]:
    return [record.fields["percent"] for record in caplog.records]  # type: ignore[attr-defined]


def test_lines_say_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with Progress("converting the model", 200, io.StringIO()) as told:
        told.add(50)
        told.to(30)
        told.to(100)
        told.add(1000)
    assert percents(caplog) == [25, 25, 50, 100]
    assert {record.message for record in caplog.records} == {"converting the model"}


def test_a_terminal_has_a_bar_that_goes_away(caplog: pytest.LogCaptureFixture) -> None:
    terminal = Terminal()
    with Progress("checking", 4, terminal) as told:
        told.add(2)
        assert terminal.getvalue().endswith("━" * 15 + "─" * 15 + " 50 %")
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert caplog.records == []


def test_what_is_quick_says_nothing(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 100)
    with Progress("checking", 4, io.StringIO()) as told:
        told.add(4)
    assert caplog.records == []


def test_a_download_is_told_in_the_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    enable_progress_bars()  # a model that was loaded here has switched them off
    with Lines(total=1000, unit="B", desc="Downloading", mininterval=9, disable=True) as bar:
        bar.n = 250
        bar.refresh()
    assert 25 in percents(caplog)
    assert capfd.readouterr().err == ""
