"""Rows as records of a backup, the same for every store."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from services.chassis.process import RefusedError

Row = TypeVar("Row")


class Records(Generic[Row]):
    """Of one dataclass, or of one of several: a record has the names of its fields, times in ISO 8601."""

    def __init__(self, kind: Any) -> None:
        """`kind` is the type of the rows."""
        # A tuple of one, because a dataclass by itself takes no configuration.
        self._adapter: TypeAdapter[tuple[Row]] = TypeAdapter(tuple[kind], config=ConfigDict(extra="forbid"))

    def to_record(self, row: Row) -> dict[str, Any]:
        """What JSON can hold."""
        [record] = self._adapter.dump_python((row,), mode="json")
        return dict(record)

    def from_record(self, record: Mapping[str, Any]) -> Row:
        """Raises RefusedError at what `to_record` did not make."""
        try:
            [row] = self._adapter.validate_python((record,))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"][1:]) or "all of it"
            raise RefusedError(f"The backup is damaged: of a record, {where} cannot be what it is.") from None
        return row
