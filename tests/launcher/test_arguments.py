import argparse

import pytest

from services.launcher.arguments import Address, Run, Status, Token, parse, parse_replicas


def test_everything_runs_once_unless_named() -> None:
    assert parse([]) == Run(
        dict.fromkeys(("auth", "history", "metadata", "inference", "conversation", "edge"), 1), False
    )


def test_named_services_run_several_times() -> None:
    replicas = parse_replicas("conversation=2, inference=3,edge=16")
    assert (replicas["conversation"], replicas["inference"], replicas["edge"], replicas["auth"]) == (2, 3, 16, 1)


@pytest.mark.parametrize(
    "text", ["valkey=2", "nobody=1", "edge", "edge=", "edge=0", "edge=17", "edge=-1", "edge=two", "=2", "edge=2.5"]
)
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse_replicas(text)


def test_a_wrong_command_line_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--replicas", "valkey=2"])
    assert ended.value.code == 2
    assert "'valkey' is not one of inference, auth, history, metadata, conversation, edge" in capsys.readouterr().err


def test_the_other_commands() -> None:
    assert parse(["status"]) == Status()
    assert parse(["address", "auth"]) == Address("auth")
    assert parse(["token", "inference"]) == Token("inference")
