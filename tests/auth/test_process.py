"""auth as a process: what it needs to start, and that it stops."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process

from services.auth.assembly import key_ring
from services.auth.clock import utc_now
from services.auth.sql.database import Database
from services.auth.sql.store import sql_store
from services.chassis.config import child_environment
from tests.auth.served import new_config

SIGNING_SECRET = "a signing secret of this very test"
SERVICE_SECRET = "a service secret of this very test"


async def start(**settings: str) -> Process:
    environment = child_environment({f"PARLEY_{name.upper()}": value for name, value in settings.items()})
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "services.auth", env=environment, stderr=PIPE)


async def words(process: Process) -> str:
    _, said = await process.communicate()
    return said.decode()


async def test_what_is_wrong_is_named_at_once_without_the_secrets(store_url: str) -> None:
    async with Database(store_url, connections=1) as database:
        config = new_config(store_url, signing_secret="another signing secret than this test's")
        await key_ring(config, sql_store(database), utc_now).current()
    good = {"store_url": store_url, "service_secrets": f"edge={SERVICE_SECRET}", "signing_secret": SIGNING_SECRET}
    twice = f"edge={SERVICE_SECRET},edge={SERVICE_SECRET}"
    bad = {"signing_secret": "too short", "service_secrets": twice, "registration": "perhaps", "monthly_tokens": "-1"}
    processes = [await start(**good), await start(**{**good, **bad})]
    locked_out, misconfigured = [await words(process) for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert locked_out == "PARLEY_SIGNING_SECRET: the signing secret does not open the stored keys\n"
    named = {line.partition(":")[0] for line in misconfigured.splitlines()}
    assert named == {f"PARLEY_{name.upper()}" for name in bad}
    assert SERVICE_SECRET not in misconfigured
    assert "too short" not in misconfigured


async def test_it_serves_and_stops(store_url: str) -> None:
    settings = {"store_url": store_url, "service_secrets": f"edge={SERVICE_SECRET}", "signing_secret": SIGNING_SECRET}
    process = await start(**settings, log_level="DEBUG")
    assert process.stderr is not None
    lines = []
    async for line in process.stderr:
        lines.append(json.loads(line))
        if lines[-1]["message"] == "ready":
            process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    listening = next(line for line in lines if line["message"] == "listening")
    assert listening["port"] > 0
    assert listening["config"]["registration"] == "closed"
    assert SIGNING_SECRET not in str(lines)
    assert SERVICE_SECRET not in str(lines)
