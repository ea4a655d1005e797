"""The command line of `python -m services`."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SERVICES = ("inference", "auth", "history", "metadata", "conversation", "edge")
"""In the order in which they are started: the slowest first."""
MAX_REPLICAS = 16


@dataclass(frozen=True, slots=True)
class Run:
    replicas: Mapping[str, int]
    verbose: bool


@dataclass(frozen=True, slots=True)
class Status:
    pass


@dataclass(frozen=True, slots=True)
class Address:
    service: str


@dataclass(frozen=True, slots=True)
class Token:
    audience: str


Command = Run | Status | Address | Token


def parse(arguments: Sequence[str]) -> Command:
    """The command. Leaves with status 2 and a usage text if there is no such one."""
    parsed = _parser().parse_args(arguments)
    match parsed.command:
        case "status":
            return Status()
        case "address":
            return Address(parsed.service)
        case "token":
            return Token(parsed.service)
    return Run(parsed.replicas, parsed.verbose)


def parse_replicas(text: str) -> dict[str, int]:
    """How often each service runs, from "edge=2,inference=3"; what is not named runs once."""
    replicas = dict.fromkeys(SERVICES, 1)
    for part in filter(None, text.split(",")):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name not in SERVICES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(SERVICES)}")
        if not number.isdecimal() or not 1 <= int(number) <= MAX_REPLICAS:
            raise argparse.ArgumentTypeError(f"{name} needs a number from 1 to {MAX_REPLICAS}, as in {name}=2")
        replicas[name] = int(number)
    return replicas


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m services", description="Runs the whole mesh on this machine.")
    parser.add_argument(
        "--replicas",
        type=parse_replicas,
        default=parse_replicas(""),
        metavar="NAME=N,...",
        help="how many processes of each service, one otherwise; those that keep a file in the data folder run once",
    )
    parser.add_argument("--verbose", action="store_true", help="show every log line, one for each call included")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="about a mesh that runs")
    commands.add_parser("status", help="list its processes, with address and health")
    for name, text in (
        ("address", "print the address of a service"),
        ("token", "print a token for calls to a service, good for a minute"),
    ):
        commands.add_parser(name, help=text).add_argument("service", choices=SERVICES)
    return parser
