"""What a journal says of a Redis that it cannot use, and when it goes on by itself."""

from pathlib import Path

import pytest

from services.chassis.errors import DomainError
from services.chassis.process import RefusedError
from services.conversation.config import Config
from services.conversation.journal import open_journal
from tests.conversation.cluster import Cluster, free_ports
from tests.conversation.steps import a_config, a_turn, opened, said
from tests.valkey import Valkey, valkey


async def refusal(config: Config) -> str:
    async with opened(config) as journal:
        with pytest.raises(RefusedError) as refused:
            await journal.check()
    assert "secret" not in str(refused.value)
    return str(refused.value)


async def test_a_wrong_password_is_refused_at_first_and_waited_for_later(tmp_path: Path) -> None:
    async with valkey(tmp_path, "--requirepass", "secret") as server:
        for url in (server.url, f"unix://:wrong-secret@{server.socket}", f"unix://nobody:secret@{server.socket}"):
            assert await refusal(a_config(url)) == "Redis refuses the user name or the password of PARLEY_REDIS_URL."
        async with opened(a_config(f"unix://:secret@{server.socket}")) as journal:
            await journal.check()
            await server.ask("CONFIG", "SET", "requirepass", "another", password="secret")
            await server.ask("CLIENT", "KILL", "TYPE", "normal", password="another")
            assert await said(journal) == "Redis refuses the user name or the password."
            with pytest.raises(DomainError):
                await journal.enqueue(a_turn())
            await server.ask("CONFIG", "SET", "requirepass", "secret", password="another")
            await journal.check()
            await journal.enqueue(a_turn())


async def test_a_user_who_may_not_run_scripts_is_refused(tmp_path: Path) -> None:
    async with valkey(tmp_path, "--user", "reader", "on", ">secret", "~*", "&*", "+@all", "-@scripting") as server:
        assert "does not allow" in await refusal(a_config(f"unix://reader:secret@{server.socket}"))


async def test_a_server_that_is_away_is_waited_for(server: Valkey, config: Config) -> None:
    await server.kill()
    async with opened(config) as journal:
        assert await said(journal) == "Redis cannot be reached."
        await server.start()
        await journal.check()
        await journal.enqueue(a_turn())
        await server.kill()
        assert await said(journal) == "Redis cannot be reached."
        await server.start()
        await journal.check()


async def test_a_replica_is_waited_for_until_it_is_a_primary(server: Valkey, config: Config) -> None:
    async with opened(config) as journal:
        await journal.check()
        await server.ask("REPLICAOF", "127.0.0.1", free_ports(1)[0])
        assert await said(journal) == "Redis is a replica, which cannot be written."
        await server.ask("REPLICAOF", "NO", "ONE")
        await journal.check()


async def test_the_kind_of_redis_must_be_the_one_that_is_configured(server: Valkey, cluster: Cluster) -> None:
    node = f"redis://127.0.0.1:{cluster.nodes[0].port}"
    assert "PARLEY_REDIS_CLUSTER is not set" in await refusal(a_config(node, shards=6))
    [port] = free_ports(1)
    await server.ask("CONFIG", "SET", "port", port)
    assert "PARLEY_REDIS_CLUSTER is set" in await refusal(a_config(f"redis://127.0.0.1:{port}", redis_cluster=True))


async def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for url, more in (
        ("redis://h:notaport", {}),
        ("redis://:se[secret@h", {}),
        ("redis://h:1?ssl_cert_reqs=none", {}),
        ("rediss://:secret@h:1,h:x", {}),
        ("redis://:secret@h/1", {"redis_cluster": True}),
        ("rediss://h", {"redis_ca_file": _not_a_certificate(tmp_path)}),
    ):
        with pytest.raises(RefusedError) as refused:
            async with open_journal(a_config(url, **more)):
                pass
        assert "secret" not in str(refused.value)
    for bad in ({"redis_url": "http://h"}, {"redis_url": "unix:///s", "redis_cluster": True}, {"shards": 20}):
        with pytest.raises(ValueError, match=r"must|needs"):
            Config.model_validate({**a_config("redis://h").model_dump(), **bad})


def _not_a_certificate(folder: Path) -> Path:
    file = folder / "authority.pem"
    file.write_text("nothing of the kind")
    return file
