"""Whether something answers: gRPC health, an HTTP page, or a Redis PING."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.channel import open_channel

TIMEOUT = 2.0


class Kind(StrEnum):
    GRPC = "grpc"
    HTTP = "http"
    REDIS = "redis"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a process can be asked. `address` is host:port; of Redis the path of its socket."""

    kind: Kind
    address: str


async def healthy(endpoint: Endpoint) -> bool:
    """Whether it can do its work now."""
    try:
        async with asyncio.timeout(TIMEOUT):
            match endpoint.kind:
                case Kind.GRPC:
                    return await _grpc_serves(endpoint.address)
                case Kind.HTTP:
                    return await _page_is_ok(endpoint.address)
                case Kind.REDIS:
                    return await _redis_answers(endpoint.address)
    except (OSError, TimeoutError, grpc.aio.AioRpcError):
        return False


async def _grpc_serves(address: str) -> bool:
    async with open_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its types lack its methods
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _page_is_ok(address: str) -> bool:
    host, _, port = address.rpartition(":")
    request = f"GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    status = await _first_line(*await asyncio.open_connection(host.strip("[]"), int(port)), request)
    return status.split()[1:2] == [b"200"]


async def _redis_answers(path: str) -> bool:
    # While it still reads its file it answers -LOADING.
    return await _first_line(*await asyncio.open_unix_connection(path), "PING\r\n") == b"+PONG\r\n"


async def _first_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str) -> bytes:
    try:
        writer.write(request.encode())
        return await reader.readline()
    finally:
        writer.close()
