"""A backup is read as it was written, or refused."""

from collections.abc import AsyncIterator, Mapping
from io import BytesIO

import pytest

from services.chassis.archive import MAX_LINE_BYTES, read_archive, write_archive
from services.chassis.process import RefusedError

RECORDS: list[dict[str, object]] = [{"text": "Grüße\n\u2028 👋 \\ud83d"}, {"count": 1, "other": None}, {}]


async def written(name: str = "history") -> bytes:
    async def records() -> AsyncIterator[Mapping[str, object]]:
        for record in RECORDS:
            yield record

    file = BytesIO()
    assert await write_archive(name, records(), file) == len(RECORDS)
    return file.getvalue()


async def test_records_are_read_as_they_were_written() -> None:
    assert list(read_archive("history", BytesIO(await written()))) == RECORDS


async def test_another_services_backup_is_refused_before_a_record_is_read() -> None:
    with pytest.raises(RefusedError, match="no backup of history"):
        next(read_archive("history", BytesIO(await written("auth"))))


async def test_a_cut_backup_is_refused_wherever_it_was_cut() -> None:
    whole = await written()
    for end in range(len(whole)):
        with pytest.raises(RefusedError):
            list(read_archive("history", BytesIO(whole[:end])))


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b'{"half of a character": "\\ud83d"}',
        b'{"too large for a store": 9223372036854775808}',
        b'{"no number": NaN}',
        b'{"too deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"too long": "' + b"x" * MAX_LINE_BYTES + b'"}',
    ],
    ids=lambda line: line[:20].decode(),
)
async def test_a_line_that_no_store_could_have_written_is_refused(line: bytes) -> None:
    lines = (await written()).splitlines(keepends=True)
    with pytest.raises(RefusedError, match="damaged"):
        list(read_archive("history", BytesIO(b"".join([lines[0], line, b"\n", *lines[2:]]))))
    with pytest.raises(RefusedError, match="no backup of history"):
        next(read_archive("history", BytesIO(line + b"\n" + b"".join(lines))))


async def test_a_backup_with_a_line_more_or_less_is_refused() -> None:
    lines = (await written()).splitlines(keepends=True)
    for damaged in (lines[:2] + lines[3:], [*lines, b"{}\n"], [*lines[:1], b"{}\n", *lines[1:]], [*lines[:1], b"[]\n"]):
        with pytest.raises(RefusedError):
            list(read_archive("history", BytesIO(b"".join(damaged))))
