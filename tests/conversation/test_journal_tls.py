"""The journal behind TLS: as a provider offers Redis, and with certificates that must not be trusted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.conversation.config import Config
from tests.conversation.cluster import free_ports
from tests.conversation.contract import JournalContract
from tests.conversation.steps import a_config, a_turn, opened, said
from tests.conversation.tls import Authority, tls_before
from tests.valkey import Valkey, valkey

NAME = "localhost"


class TestOnManagedRedis(JournalContract):
    """TLS, a user name and a password, and nothing allowed that a provider keeps to itself."""

    @pytest.fixture
    async def config(self, tmp_path: Path) -> AsyncIterator[Config]:
        authority = Authority(tmp_path / "tls")
        config = a_config("rediss://set.below", redis_ca_file=authority.file)
        keys = f"~{config.redis_prefix}*", f"&{config.redis_prefix}*"
        rights = "+@all", "-@admin", "-@dangerous"
        async with (
            valkey(tmp_path, "--user", "mesh", "on", ">secret", *keys, *rights, "--requirepass", "secret") as server,
            tls_before(server.socket, authority.server(NAME)) as port,
        ):
            url = f"rediss://mesh:secret@{NAME}:{port}"
            yield Config.model_validate({**config.model_dump(), "redis_url": url})


async def test_a_certificate_of_a_stranger_is_not_trusted(server: Valkey, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    for context in (theirs.server(NAME), ours.server("elsewhere.example")):
        async with tls_before(server.socket, context) as port:
            url = f"rediss://{NAME}:{port}"
            async with opened(a_config(url, redis_ca_file=ours.file)) as journal:
                assert "certificate" in await said(journal)


async def test_nodes_that_are_known_by_address_show_the_certificate_of_the_url(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    port, *own = free_ports(3)
    announced = "--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", str(port)
    options = "--port", str(own[0]), "--cluster-enabled", "yes", "--cluster-port", str(own[1])
    async with (
        valkey(tmp_path, *options, *announced) as server,
        tls_before(server.socket, authority.server(NAME), port),
    ):
        await server.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        config = a_config(f"rediss://{NAME}:{port}", redis_cluster=True, redis_ca_file=authority.file)
        async with opened(config) as journal:
            while "not whole" in await said(journal):
                await asyncio.sleep(0.05)
            await journal.enqueue(a_turn())
