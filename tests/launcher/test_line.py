import json

from hypothesis import given
from hypothesis import strategies as st

from services.launcher.line import Filter, Line, read_line
from services.launcher.screen import readable


def entry(message: str, level: str = "INFO", **fields: object) -> str:
    base = {"time": "2026-01-02T03:04:05.678+00:00", "level": level, "service": "history", "message": message}
    return json.dumps(base | fields)


def test_a_json_line_becomes_words() -> None:
    line = read_line(entry("not ready", waiting_for=["store"], port=12, note="two words", trace_id="0f", config={}))
    assert line.text == 'not ready waiting_for=["store"] port=12 note="two words"'
    assert readable("edge[2]", line).endswith(" edge[2]         " + line.text)


def test_the_level_is_shown_where_it_matters() -> None:
    assert " ERROR unexpected" in readable("auth", read_line(entry("unexpected", "ERROR")))
    assert "INFO" not in readable("auth", read_line(entry("ready")))


def test_an_exception_is_shown_whole() -> None:
    assert read_line(entry("bad", "ERROR", exception="Traceback\n  line")).text == "bad Traceback\n  line"


def test_other_lines_pass_without_control_codes() -> None:
    assert read_line("\x1b[31m 42%|####  |\x1b[0m \x07").text == " 42%|####  | \\x07"
    assert read_line('{"no": "entry"}').text == '{"no": "entry"}'
    assert read_line(entry("\x1b]0;title\x07")).text == "\\x1b]0;title\\x07"


@given(st.text())
def test_any_line_is_shown_and_none_moves_the_cursor(raw: str) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in read_line(raw).text)


def test_calls_are_shown_only_to_who_asks_for_everything() -> None:
    call = read_line(entry("call"))
    settled = Filter(verbose=False)
    settled.settled = True
    assert not settled.passes(call, quiet=False)
    assert settled.passes(read_line(entry("not ready")), quiet=False)
    assert Filter(verbose=True).passes(call, quiet=False)


def test_a_start_is_told_by_the_launcher_alone() -> None:
    starting = Filter(verbose=False)
    assert not starting.passes(read_line(entry("not ready")), quiet=False)
    assert starting.passes(read_line(entry("converting the model")), quiet=False)
    assert starting.passes(read_line(entry("slow", "WARNING")), quiet=True)
    assert starting.passes(Line("Traceback (most recent call last):"), quiet=False)
    assert not starting.passes(Line("1234:M Ready to accept connections"), quiet=True)
