import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.launcher.probe import Endpoint, Kind, healthy


async def answer(text: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.write(text.encode())
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def page(status: str) -> AsyncIterator[Endpoint]:
    text = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"
    async with await asyncio.start_server(lambda *streams: answer(text, *streams), "127.0.0.1", 0) as server:
        yield Endpoint(Kind.HTTP, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")


@pytest.mark.parametrize(("status", "expected"), [("200 OK", True), ("503 Service Unavailable", False)])
async def test_a_page_is_healthy_when_it_says_so(status: str, *, expected: bool) -> None:
    async with page(status) as endpoint:
        assert await healthy(endpoint) is expected


@pytest.mark.parametrize(("text", "expected"), [("+PONG\r\n", True), ("-LOADING Valkey is loading\r\n", False)])
async def test_redis_is_healthy_when_it_has_read_its_file(tmp_path: Path, text: str, *, expected: bool) -> None:
    path = str(tmp_path / "redis.sock")
    async with await asyncio.start_unix_server(lambda *streams: answer(text, *streams), path):
        assert await healthy(Endpoint(Kind.REDIS, path)) is expected


async def test_a_grpc_server_can_go_red() -> None:
    server, servicer = grpc.aio.server(), health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    endpoint = Endpoint(Kind.GRPC, f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    await server.start()
    for status in ("SERVING", "NOT_SERVING", "SERVING"):
        await servicer.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
        assert await healthy(endpoint) is (status == "SERVING")
    await server.stop(None)


@pytest.mark.parametrize("kind", Kind)
async def test_nobody_there_is_not_healthy(kind: Kind, tmp_path: Path) -> None:
    address = str(tmp_path / "none.sock") if kind is Kind.REDIS else "127.0.0.1:1"
    assert not await healthy(Endpoint(kind, address))
