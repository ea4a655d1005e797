"""One state of a database, to be read at length and in little memory."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Row, Select

from services.auth.sql.backend import Backend
from services.auth.sql.threads import Line, Threads

T = TypeVar("T")

PAGE = 500
"""Rows that are in memory at once."""
PAGE_SECONDS = 30.0
"""How long one page may take."""


class Snapshot:
    """Reads while its `async with` block runs."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        # One, so that what a cancelled caller left behind has ended before the connection is used again.
        self._thread, self._line = Threads(1), Line()

    async def __aenter__(self) -> Self:
        self._connection = await self._run(self._begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._run(self._end)
        await self._thread.close()

    async def rows(self, query: Select[Any]) -> AsyncIterator[Row[Any]]:
        result = await self._run(partial(self._connection.execute, query.execution_options(yield_per=PAGE)))
        while page := await self._run(partial(result.fetchmany, PAGE)):
            for row in page:
                yield row

    def _begin(self) -> Connection:
        connection = self._backend.reader.connect()
        for statement in self._backend.snapshot:
            connection.exec_driver_sql(statement)
        return connection

    def _end(self) -> None:
        self._connection.invalidate()  # its transaction ends with it, however it is
        self._connection.close()

    async def _run(self, work: Callable[[], T]) -> T:
        return await self._thread.run(work, PAGE_SECONDS, on=self._line)
