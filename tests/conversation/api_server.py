"""A Kubernetes API server that knows EndpointSlices alone: list and watch over HTTP, as the real one tells them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATH = "/apis/discovery.k8s.io/v1/namespaces/parley/endpointslices"
SERVICE = "inference"


def a_slice(name: str, endpoints: list[dict[str, Any]] | None, kind: str = "IPv4") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": SERVICE}},
        "addressType": kind,
        "endpoints": endpoints,
        "ports": [{"name": "metrics", "port": 9000}, {"name": "grpc", "port": 50051}],
    }


def a_pod(address: str, uid: str = "", **conditions: bool | None) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "uid": uid}} if uid else {}
    return {"addresses": [address], "conditions": {"ready": True, **conditions}, **target}


class ApiServer:
    def __init__(self) -> None:
        self.port = 0
        self.asked: list[dict[str, str]] = []
        """The parameters of each request."""
        self.status = 200
        """What every request is answered with."""
        self._slices: dict[str, dict[str, Any]] = {}
        self._events: list[tuple[int, dict[str, Any]]] = []
        self._version = 100
        self._news = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """Refuses everybody, and cuts who is there in the middle of a word."""
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until_asked(self) -> None:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: bool(self.asked))

    async def change(self, name: str, changed: dict[str, Any] | None, *, quietly: bool = False) -> None:
        """Sets or deletes a slice. Of what is done quietly no watch is told: history forgets it, as it does in time."""
        async with self._news:
            self._version += 1
            before = self._slices.pop(name, None)
            kind = "DELETED" if changed is None else "MODIFIED" if before else "ADDED"
            told = changed or before or a_slice(name, [])
            told["metadata"]["resourceVersion"] = str(self._version)
            if changed:
                self._slices[name] = changed
            if quietly:
                self._events.clear()
            else:
                self._events.append((self._version, {"type": kind, "object": json.loads(json.dumps(told))}))
            self._news.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.split(b" ", 2)[1].decode(), writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass  # the client left, or the server died
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, target: str, writer: asyncio.StreamWriter) -> None:
        url = urlsplit(target)
        asked = {name: value for name, [value] in parse_qs(url.query).items()}
        async with self._news:
            self.asked.append(asked)
            self._news.notify_all()
        assert (url.path, asked["labelSelector"]) == (PATH, f"kubernetes.io/service-name={SERVICE}")
        status = self.status
        writer.write(f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n".encode())
        if status == 200 and asked.get("watch", "").lower() == "true":
            writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
            await self._watch(int(asked["resourceVersion"]), writer)
            return
        listed = {"metadata": {"resourceVersion": str(self._version)}, "items": list(self._slices.values())}
        body = json.dumps(listed if status == 200 else {"kind": "Status", "code": status}).encode()
        writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    async def _watch(self, version: int, writer: asyncio.StreamWriter) -> None:
        while True:
            if version < self._version and (not self._events or self._events[0][0] > version + 1):
                await _chunk(writer, {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
                writer.write(b"0\r\n\r\n")
                return
            for changed, event in [each for each in self._events if each[0] > version]:
                await _chunk(writer, event)
                version = changed
            bookmark = {"kind": "EndpointSlice", "metadata": {"resourceVersion": str(version)}}
            await _chunk(writer, {"type": "BOOKMARK", "object": bookmark})
            async with self._news:
                await self._news.wait_for(lambda: self._version > version)  # noqa: B023 - waited for at once


async def _chunk(writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
    """An event in two pieces, as a network may cut it."""
    line = json.dumps(event).encode() + b"\n"
    for piece in (line[:20], line[20:]):
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def api_server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.open()
    try:
        yield server
    finally:
        await server.die()
