"""The service before an upstream, as a process."""

from pathlib import Path

from tests.inference.test_process import PEERS, begin, entry
from tests.inference.upstream.server import MODEL, serving


async def test_it_becomes_ready_when_the_upstream_is(tiny_folder: Path) -> None:
    async with serving("vllm") as server:
        server.healthy = False
        settings = {
            "PARLEY_ENGINE": "upstream",
            "PARLEY_UPSTREAM_URL": f"{server.url}/v1",
            "PARLEY_UPSTREAM_MODEL": MODEL,
            "PARLEY_UPSTREAM_API_KEY": "a secret key",
            "PARLEY_UPSTREAM_TOKENIZER": str(tiny_folder),
        }
        process = await begin(**settings, **PEERS)
        assert "a secret key" not in str(await entry(process, "listening"))
        assert "engine" in str((await entry(process, "not ready"))["waiting_for"])
        server.healthy = True
        assert (await entry(process, "the upstream serves"))["kind"] == "vllm"
        await entry(process, "ready")
        process.terminate()
        await entry(process, "stopped")
        assert await process.wait() == 0


async def test_an_upstream_must_be_named() -> None:
    process = await begin(PARLEY_ENGINE="upstream", **PEERS)
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"PARLEY_UPSTREAM_URL" in said
