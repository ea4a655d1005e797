"""Checks of a request: every wrong field is named, all at once, before anything is written."""

from collections.abc import Collection
from types import TracebackType

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import is_id


class Checks:
    """Collects what is wrong with a request's fields; leaving the `with` block raises if anything is.

    with Checks() as check:
        check.id("conversation_id", request.conversation_id)
    """

    def __init__(self) -> None:
        self._wrong: dict[str, str] = {}

    def __enter__(self) -> "Checks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._wrong:
            named = "; ".join(f"{name}: {text}" for name, text in self._wrong.items())
            raise DomainError(Reason.INVALID_ARGUMENT, f"The request is not valid. {named}", fields=self._wrong)

    def fail(self, name: str, description: str) -> None:
        """Records a field's first fault."""
        self._wrong.setdefault(name, description)

    def that(self, name: str, ok: bool, description: str) -> None:
        if not ok:
            self.fail(name, description)

    def id(self, name: str, value: str) -> None:
        self.that(name, is_id(value), "must be a UUIDv7 in lower case")

    def text(self, name: str, value: str, *, max_bytes: int, min_bytes: int = 0) -> None:
        size = len(value.encode())
        self.that(name, min_bytes <= size <= max_bytes, f"must have {min_bytes} to {max_bytes} bytes, not {size}")
        self.that(name, "\0" not in value, "must not contain NUL")

    def range(self, name: str, value: float, low: float, high: float) -> None:
        # Written so that NaN fails.
        self.that(name, low <= value <= high, f"must be from {low} to {high}")

    def one_of(self, name: str, value: str, known: Collection[str]) -> None:
        self.that(name, value in known, f"must be one of {', '.join(sorted(known))}")

    def page_size(self, name: str, value: int, *, limit: int) -> None:
        self.that(name, 0 <= value <= limit, f"must be from 0 (the default) to {limit}")
