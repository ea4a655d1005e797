"""A zip archive that is made while it is sent: in one pass, with nothing sought and nothing kept."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_READABLE = 0o644 << 16


class _Outgoing:
    """What was written and not taken yet. It can neither tell nor seek, so an entry's sizes follow after it."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class Archive:
    """Entries are added one after the other, in a `with` block. The archive is whole only after `end`."""

    def __init__(self, made: datetime, send: Callable[[bytes], Awaitable[None]]) -> None:
        """`made`: when, for every entry. `send` takes the archive piece by piece, and returns when it wants more."""
        self._made, self._send = made.timetuple()[:6], send
        self._outgoing = _Outgoing()
        self._zip = ZipFile(self._outgoing, "w")

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    async def add(self, name: str, parts: AsyncIterable[Iterable[str]]) -> None:
        """An entry of these texts. A part is worked through in a thread, so it may be lazy about what takes time."""
        about = ZipInfo(name, self._made)
        about.compress_type, about.external_attr = ZIP_DEFLATED, _READABLE
        # Nobody knows yet how long the entry will be, hence zip64.
        with self._zip.open(about, "w", force_zip64=True) as entry:
            async for part in parts:
                await _in_thread(partial(_write, entry, part))
                await self._send(self._outgoing.take())

    async def end(self) -> None:
        self._zip.close()
        await self._send(self._outgoing.take())


def _write(entry: IO[bytes], part: Iterable[str]) -> None:
    for text in part:
        entry.write(text.encode())


async def _in_thread(work: partial[None]) -> None:
    """Returns, or is cancelled, only when the thread has done with it: nobody else may touch the archive before."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    finally:
        await asyncio.wait([working])
