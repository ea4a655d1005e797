"""llama.cpp's server, over its HTTP API."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gguf import GGUFReader

from benchmarks.engine.child import child
from benchmarks.engine.plan import CONTEXT_TOKENS, TEMPERATURE, TOP_P
from benchmarks.engine.replies import Reply, together

LINE_BYTES = 1024 * 1024
_DATA = b"data: "


class LlamaServer:
    name = "llama.cpp"
    rounds = 1000
    most_tokens = CONTEXT_TOKENS
    turns = True

    def __init__(self, host: str, port: int, about: dict[str, Any]) -> None:
        self._host, self._port, self.about = host, port, about
        self._seed = 0

    async def replies(self, prompts: Sequence[list[int]], tokens: int, *, reuse: bool = False) -> list[Reply]:
        began = time.perf_counter()
        return await together(self._reply(prompt, tokens, reuse, began) for prompt in prompts)

    async def _reply(self, prompt: list[int], tokens: int, reuse: bool, began: float) -> Reply:
        self._seed += 1
        wanted = {
            "prompt": prompt,
            "n_predict": tokens,
            "ignore_eos": True,
            "cache_prompt": reuse,
            "temperature": TEMPERATURE,
            "top_p": TOP_P,
            "seed": self._seed,
            "stream": True,
            "return_tokens": True,
        }
        ids: list[int] = []
        times: list[float] = []
        async for event in self._post("/completion", wanted):
            ids += event["tokens"]
            times += [time.perf_counter() - began] * len(event["tokens"])
        if not ids:
            raise RuntimeError("It replied nothing.")
        return Reply(tuple(ids), tuple(times))

    async def _post(self, path: str, body: dict[str, Any]) -> AsyncIterator[Any]:
        """The events of the answer. Little more than a socket: the client shares the cores with the server."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=LINE_BYTES)
        try:
            content = json.dumps(body).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\nContent-Length: {len(content)}"
            writer.write(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + content)
            status = await reader.readline()
            if b" 200 " not in status:
                raise RuntimeError(f"It answered {status.decode().strip()}.")
            async for line in reader:
                if line.startswith(_DATA):
                    yield json.loads(line[len(_DATA) :])
        finally:
            writer.close()


@asynccontextmanager
async def llama_server(python: str, gguf: Path, slots: int, log: Path) -> AsyncIterator[LlamaServer]:
    arguments = str(gguf), str(slots), str(CONTEXT_TOKENS)
    async with child(python, "benchmarks.engine.llama_server", log, *arguments) as (_, ready):
        url = urlsplit(ready.pop("url"))
        assert url.hostname
        assert url.port
        weight_bytes = sum(int(tensor.n_bytes) for tensor in GGUFReader(gguf).tensors)
        about = {**ready, "weights": "Q4_1", "weight_bytes": weight_bytes}
        yield LlamaServer(url.hostname, url.port, about)
