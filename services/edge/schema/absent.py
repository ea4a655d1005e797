"""Optional input: its SDL names no default, and absent reads as null."""

from typing import TypeVar

import strawberry

from services.chassis.ids import new_id

T = TypeVar("T")

ABSENT = strawberry.UNSET


def given(value: T | None) -> T | None:
    """The value, or None where it is absent."""
    return None if value is ABSENT else value


def chosen_id(value: str | None) -> str:
    """The id that the client made, or a new one."""
    chosen = given(value)
    return new_id() if chosen is None else chosen
