"""Which releases may work on which schemas, and the command that migrates them."""

import pytest

from services.chassis import migration
from services.chassis.errors import DomainError, Reason
from services.chassis.migration import migrate_store
from services.chassis.process import RefusedError
from services.chassis.schema import Schema, require


def judge(found: Schema, known: int) -> None:
    require(found, known, store="history", command="migrate it")


def test_a_schema_that_only_grew_is_no_obstacle() -> None:
    judge(Schema(3, works_from=2), 2)
    judge(Schema(3, works_from=3), 3)


def test_a_schema_that_lost_something_needs_a_later_release() -> None:
    with pytest.raises(RefusedError, match=r"version 3.*knows version 3.*knows 2"):
        judge(Schema(3, works_from=3), 2)


def test_an_older_schema_is_waited_for() -> None:
    with pytest.raises(DomainError) as refused:
        judge(Schema(0, works_from=0), 1)
    assert refused.value.reason is Reason.UNAVAILABLE
    assert "`migrate it`" in refused.value.message


async def test_a_store_that_comes_up_is_migrated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(migration, "PAUSE_SECONDS", 0)
    answers = [DomainError(Reason.UNAVAILABLE, "It is away.")] * 3

    async def migrate() -> tuple[Schema, Schema]:
        if answers:
            raise answers.pop()
        return Schema(0, 0), Schema(2, 1)

    await migrate_store("history", migrate)
    said = capsys.readouterr().err.splitlines()
    assert said == ["history: waiting for the store. It is away.", "history: schema 0 -> 2"]


async def test_a_store_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "PATIENCE_SECONDS", 0.05)

    async def migrate() -> tuple[Schema, Schema]:
        raise DomainError(Reason.UNAVAILABLE, "It is away.")

    with pytest.raises(RefusedError, match="did not answer"):
        await migrate_store("history", migrate)
