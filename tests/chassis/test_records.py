"""Records of a backup hold what their rows hold, and nothing else becomes a row."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import pytest
from pydantic import AwareDatetime

from services.chassis.process import RefusedError
from services.chassis.records import Records


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Part:
    size: int


@dataclass(frozen=True, slots=True)
class Thing:
    name: str
    colour: Colour
    time: AwareDatetime
    tags: tuple[str, ...]
    part: Part | None = None


THINGS: Records[Thing] = Records(Thing)
THING = Thing("Grüße", Colour.RED, datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), ("a", "b"), Part(7))


def test_a_row_comes_back_from_its_record() -> None:
    record = THINGS.to_record(THING)
    assert (record["colour"], record["tags"], record["part"]) == ("red", ["a", "b"], {"size": 7})
    assert THINGS.from_record(record) == THING


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": 5}, "name"),
        ({"name": None}, "name"),
        ({"colour": "blue"}, "colour"),
        ({"time": "2026-01-02T03:04:05"}, "time"),
        ({"tags": [1]}, "tags.0"),
        ({"part": {"size": {"$gt": 1}}}, "part.size"),
        ({"part": {"size": 1, "weight": 1}}, "part.weight"),
        ({"weight": 1}, "weight"),
    ],
)
def test_a_record_of_another_form_is_refused_by_the_name_of_its_place(change: dict[str, object], place: str) -> None:
    with pytest.raises(RefusedError, match=f"damaged: of a record, {place} cannot"):
        THINGS.from_record({**THINGS.to_record(THING), **change})


def test_what_is_no_record_at_all_is_refused() -> None:
    with pytest.raises(RefusedError, match="all of it"):
        THINGS.from_record(5)  # type: ignore[arg-type]
