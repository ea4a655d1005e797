"""Backups: JSON Lines that are the same whatever the store, so that one can move from a file to a cluster.

The first line names the service and the version of the format, the last one counts the records between them: a file
that was cut is noticed.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, BinaryIO

from services.chassis.process import RefusedError

VERSION = 1
MAX_LINE_BYTES = 16 * 1024 * 1024
"""More than the largest record takes."""

_INTEGERS = range(-(2**63), 2**63)
"""What every store can hold."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""The beginning of a half of a character, or of the backslash before it."""


async def write_archive(name: str, records: AsyncIterator[Mapping[str, object]], file: BinaryIO) -> int:
    """Writes the records of a service, one by one; returns how many they were."""
    count = 0
    _write(file, {"parley": name, "version": VERSION})
    async for record in records:
        _write(file, record)
        count += 1
    _write(file, {"count": count})
    file.flush()
    return count


def read_archive(name: str, file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Reads the records one by one. Raises RefusedError at a file of another kind at once, of a cut one at its end."""
    try:
        head = _read(file)
    except RefusedError:
        head = {}
    if head != {"parley": name, "version": VERSION}:
        raise RefusedError(f"This is no backup of {name} in version {VERSION} of the format.")
    count = 0
    while True:
        record = _read(file)
        if record.keys() == {"count"}:
            if record["count"] != count or file.read(1):
                raise RefusedError("The backup is damaged: it does not have as many records as it says.")
            return
        yield record
        count += 1


def _write(file: BinaryIO, record: Mapping[str, object]) -> None:
    file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def _read(file: BinaryIO) -> dict[str, Any]:
    line = file.readline(MAX_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise RefusedError("The backup is damaged: it ends in the middle.")
    try:
        record = json.loads(line, parse_int=_integer, parse_constant=_not_a_number)
        if _SURROGATE.search(line):
            json.dumps(record, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise RefusedError("The backup is damaged: it has a line that is no record.")
    return record


def _integer(digits: str) -> int:
    number = int(digits)
    if number not in _INTEGERS:
        raise ValueError
    return number


def _not_a_number(name: str) -> float:
    raise ValueError(name)
