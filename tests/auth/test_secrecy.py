"""No password, key or token is ever in a log, an error, the store or its backup."""

import logging
from collections.abc import Awaitable
from pathlib import Path

import pytest

from services.auth.sql.archive import records
from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.chassis.telemetry import JsonFormatter
from tests.auth.places import opened
from tests.auth.served import SECRETS, new_config, refusal, served

PASSWORD = "the password of this very test"
WRONG = "a wrong password of this test"


async def everything_in(store_url: str, folder: Path) -> str:
    """What is stored: the records of a backup, and the bytes of the file."""
    async with opened(store_url) as (database, _), database.snapshot() as snapshot:
        saved = [str(record) async for record in records(snapshot)]
    return "\n".join([*saved, *(path.read_bytes().decode("latin-1") for path in folder.iterdir())])


async def test_secrets_stay_secret(store_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    config = new_config(store_url, sign_in_attempts=3, monthly_tokens=10)
    errors: list[DomainError] = []

    async def refused(call: Awaitable[object]) -> None:
        errors.append(await refusal(call))

    async with served(config) as auth:
        operator, edge = auth.client("operator"), auth.client("edge")
        account = await operator.create_account("ann@example.com", PASSWORD)
        key = (await operator.create_key(account.account_id)).secret
        issued = await edge.issue("ann@example.com", PASSWORD)
        renewed = await edge.refresh(issued.refresh_token)
        inner = await auth.exchange("edge", "conversation", subject_token=key)
        onward = await auth.exchange("conversation", "auth", subject_token=inner)
        ann = auth.client("edge", renewed.access_token)
        await refused(edge.verify_password("ann@example.com", WRONG))
        await refused(edge.refresh(issued.refresh_token))
        await refused(auth.exchange("conversation", "auth", subject_token=key))
        await refused(auth.exchange("history", "auth", subject_token=inner))
        await refused(auth.exchange("edge", "auth", service_secret=SECRETS["history"]))
        await refused(auth.exchange("edge", "auth", subject_token=onward))
        await refused(ann.reserve(new_id(), 11))
        await refused(operator.create_account("ann@example.com", PASSWORD))
        await refused(operator.create_account("x", WRONG[:5]))
        for _ in range(4):
            await refused(edge.issue("ann@example.com", WRONG))
        await edge.revoke(renewed.refresh_token)
        await refused(ann.get_account())

    formatter = JsonFormatter("auth")
    logged = "\n".join(formatter.format(record) for record in caplog.records)
    assert "VerifyPassword" in logged
    told = "\n".join(f"{error!r} {error.metadata} {error.fields}" for error in errors)
    stored = await everything_in(store_url, tmp_path)
    assert "ann@example.com" in stored
    tokens = (issued.access_token, issued.refresh_token, renewed.access_token, renewed.refresh_token, inner, onward)
    secrets = (PASSWORD, WRONG, key, *tokens, *SECRETS.values(), config.signing_secret.get_secret_value())
    for secret in secrets:
        for place in (logged, told, stored):
            assert secret not in place
            assert secret[-16:] not in place
    for secret in (*SECRETS.values(), config.signing_secret.get_secret_value()):
        assert secret not in f"{config!r} {config}"
