"""auth as a process: what it needs to start, and that it stops."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

from services.auth.assembly import key_ring
from services.auth.clock import utc_now
from services.auth.stores import open_store
from services.chassis.config import child_environment
from tests.auth.served import new_config
from tests.proxy import proxy
from tests.servers import Server

SIGNING_SECRET = "a signing secret of this very test"
SERVICE_SECRET = "a service secret of this very test"


async def start(**settings: str) -> Process:
    environment = child_environment({f"PARLEY_{name.upper()}": value for name, value in settings.items()})
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "services.auth", env=environment, stderr=PIPE)


async def words(process: Process) -> str:
    _, said = await process.communicate()
    return said.decode()


async def test_what_is_wrong_is_named_at_once_without_the_secrets(file_url: str) -> None:
    async with open_store(file_url, connections=1) as store:
        config = new_config(file_url, signing_secret="another signing secret than this test's")
        await key_ring(config, store, utc_now).current()
    good = {"store_url": file_url, "service_secrets": f"edge={SERVICE_SECRET}", "signing_secret": SIGNING_SECRET}
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


async def test_it_waits_for_its_store_serves_and_stops(postgres: Server, postgres_url: str) -> None:
    settings = {"service_secrets": f"edge={SERVICE_SECRET}", "signing_secret": SIGNING_SECRET}
    lines: list[dict[str, Any]] = []
    async with proxy(postgres.host, postgres.port) as between:
        await between.close()
        store_url = postgres_url.replace(f":{postgres.port}/", f":{between.port}/")
        process = await start(**settings, store_url=store_url, log_level="DEBUG")
        assert process.stderr is not None
        async for line in process.stderr:
            lines.append(json.loads(line))
            match lines[-1]["message"]:
                case "not ready":
                    await between.open()
                case "ready":
                    process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    waiting = next(line for line in lines if line["message"] == "not ready")
    assert waiting["waiting_for"] == {"store": "The store is not available."}
    listening = next(line for line in lines if line["message"] == "listening")
    assert listening["port"] > 0
    assert listening["config"]["registration"] == "closed"
    assert SIGNING_SECRET not in str(lines)
    assert SERVICE_SECRET not in str(lines)
