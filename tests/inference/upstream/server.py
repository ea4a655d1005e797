"""An HTTP server that speaks the upstreams' dialects, says the fake engine's words, and can misbehave."""

import asyncio
import contextlib
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.inference.engine import Parameters
from services.inference.fake_text import END, VOCABULARY, write
from tests.inference.contract import CONTEXT_LENGTH
from tests.inference.upstream.words import read_spelled, split_prompt

MODEL = "fake/words"
WORDS = 32


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one generation."""

    status: int = 200
    headers: str = ""
    answer: str = '{"error": {"message": "no"}}'
    after: int = 0
    """Tokens before it goes wrong, if `status` is 200."""
    kind: str = ""
    """cut, end, hang, garbage, nested, stranger, error"""


@dataclass(slots=True)
class FakeServer:
    kind: str
    """vllm, sglang, llama.cpp or openai; it says so in its models."""
    faults: deque[Fault] = field(default_factory=deque)
    """For the next generations, one each."""
    healthy: bool = True
    metrics: str = ""
    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    alive: int = 0
    """Generations whose connection is open."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client leaves in the middle."""
    connections: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self.connections.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._answer_all(reader, writer)
        writer.close()
        self.connections.discard(task)

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await _read(reader):
            path, body = request
            if path not in ("/v1/completions", "/completion"):
                self._answer(writer, path)
            elif not await self._generate(body, reader, writer):
                break
            await writer.drain()

    def _answer(self, writer: asyncio.StreamWriter, path: str) -> None:
        if not self.healthy:
            _write(writer, 503, b"{}")
        elif path == "/v1/models":
            _write(writer, 200, json.dumps({"data": [{"id": "another"}, self._card()]}).encode())
        elif path == "/metrics" and self.metrics:
            _write(writer, 200, self.metrics.encode())
        elif path == "/health" and self.kind != "openai":
            _write(writer, 200, b"")
        else:
            _write(writer, 404, b"{}")

    def _card(self) -> dict[str, object]:
        if self.kind == "llama.cpp":
            return {"id": "words.gguf", "aliases": [MODEL], "owned_by": "llamacpp", "meta": {"n_ctx": CONTEXT_LENGTH}}
        if self.kind == "openai":
            return {"id": MODEL, "owned_by": "somebody"}
        return {"id": MODEL, "owned_by": self.kind, "max_model_len": CONTEXT_LENGTH}

    async def _generate(self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Says whether the connection may be used again."""
        self.bodies.append(body)
        fault = self.faults.popleft() if self.faults else Fault()
        if fault.status != 200:
            _write(writer, fault.status, fault.answer.encode(), fault.headers)
            return True
        assert body["stream"]
        gone = asyncio.create_task(reader.read(1))
        self.alive += 1
        whole = False
        try:
            whole = await self._speak(body, fault, gone, writer)
            return False
        finally:
            self.alive -= 1
            if not whole:
                self.left.set()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _speak(
        self, body: dict[str, Any], fault: Fault, gone: "asyncio.Task[bytes]", writer: asyncio.StreamWriter
    ) -> bool:
        """Says whether the client stayed for all of it."""
        kind = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close"
        writer.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % kind)
        for place, event in enumerate(map(json.dumps, _speech[self.kind](body))):
            await asyncio.sleep(0)
            wrong = fault.kind if place == fault.after else ""
            if wrong == "hang":
                await gone
            if gone.done() or wrong == "cut":
                return False
            if wrong == "end":
                break
            _chunk(writer, f": ping\r\n\r\ndata: {_WRONG.get(wrong, event)}\r\n\r\n".encode())
            await writer.drain()
        else:
            _chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


_WRONG = {
    "garbage": '{"choices": [{',
    "nested": "[" * 50_000,
    "stranger": "[1]",
    "error": '{"error": {"message": "EngineDeadError", "code": 500}}',
}


def reply_to(body: dict[str, Any], beyond: int = 0) -> tuple[int, ...]:
    """The rest of the fake engine's reply, up to the limit and so many tokens beyond it."""
    prompt = body["prompt"]
    chat, emitted = split_prompt(read_spelled(prompt) if isinstance(prompt, str) else tuple(prompt))
    limit = (body["n_predict"] if "n_predict" in body else body["max_tokens"]) + beyond
    asked = Parameters(body["temperature"], body["top_p"], limit + sum(map(_size, emitted)), (), body["seed"])
    script = write(chat, asked, WORDS).tokens
    # By its bytes: who has only its text cuts it into other tokens.
    said, place = sum(map(_size, emitted)), 0
    while said > 0:
        said -= _size(script[place])
        place += 1
    rest = VOCABULARY[script[place - 1]][said:] if said else b""
    return (*rest, *script[place:])[:limit]


def _size(token: int) -> int:
    return len(VOCABULARY[token])


def _vllm(body: dict[str, Any]) -> Iterable[dict[str, object]]:
    tokens = reply_to(body)
    for place, token in enumerate(tokens, 1):
        finish = None if place < len(tokens) else "stop" if token == END else "length"
        # Its text is what a client that has the ids must not need.
        yield {"choices": [{"index": 0, "text": "?", "token_ids": [token], "finish_reason": finish}]}
    usage = {"prompt_tokens": len(body["prompt"]), "prompt_tokens_details": {"cached_tokens": 3}}
    yield {"choices": [], "usage": usage}


def _llama(body: dict[str, Any]) -> Iterable[dict[str, object]]:
    """As the real one: a character that takes several tokens comes whole, with the id of the last of them alone."""
    held, kind = b"", "limit"
    for place, token in enumerate(reply_to(body, beyond=3), 1):
        held += VOCABULARY[token]
        if _cut_off(held):
            continue
        yield {"content": held.decode(errors="replace"), "tokens": [token], "stop": False}
        held = b""
        if token == END:
            kind = "eos"
        if place >= body["n_predict"]:
            break
    yield {"content": "", "tokens": [], "stop": True, "stop_type": kind, "timings": {"cache_n": 3}}


def _openai(body: dict[str, Any]) -> Iterable[dict[str, object]]:
    tokens = reply_to(body)
    ended = tokens[-1:] == (END,)
    text = b"".join(VOCABULARY[token] for token in tokens).decode(errors="ignore")
    for begin in range(0, len(text), 7):
        yield {"choices": [{"index": 0, "text": text[begin : begin + 7], "finish_reason": None}]}
    yield {"choices": [{"index": 0, "text": "", "finish_reason": "stop" if ended else "length"}]}


_speech = {"vllm": _vllm, "sglang": _vllm, "llama.cpp": _llama, "openai": _openai}


def _cut_off(data: bytes) -> bool:
    """Whether the last character is incomplete; continuations without a beginning are not seen."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        needs = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4 if byte >> 3 == 0b11110 else 0
        if back < needs:
            return True
    return False


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]] | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    lengths = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")]
    body = await reader.readexactly(lengths[0]) if lengths else b"{}"
    return first.split()[1], json.loads(body)


def _write(writer: asyncio.StreamWriter, status: int, body: bytes, headers: str = "") -> None:
    writer.write(f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


@asynccontextmanager
async def serving(kind: str, port: int = 0) -> AsyncIterator[FakeServer]:
    fake = FakeServer(kind)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", port)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for connection in fake.connections:
            connection.cancel()
        await asyncio.gather(*fake.connections)


async def main(port: int) -> None:
    async with serving("vllm", port) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
