"""Whether the edge is alive, and whether it can serve."""

import asyncio
import time

import grpc
from grpc_health.v1 import health_pb2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.edge.mesh import Mesh

SERVICES = {
    "auth": "parley.auth.v1.TokenService",
    "conversation": "parley.conversation.v1.ConversationService",
    "history": "parley.history.v1.HistoryService",
    "metadata": "parley.metadata.v1.MetadataService",
}
"""Without these nothing works. Without inference, people can still read."""
CHECK_SECONDS = 1.0
FRESH_SECONDS = 1.0
"""How long an answer is given again: anybody may ask."""

Check = grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]


class Health:
    def __init__(self, mesh: Mesh) -> None:
        peers = {peer.name: peer for peer in (mesh.auth, mesh.conversation, mesh.history, mesh.metadata)}
        self._ask = {name: _check(peers[name].channel) for name in SERVICES}
        self._draining = False
        self._looking = asyncio.Lock()
        self._waiting_for: list[str] = list(SERVICES)
        self._looked = float("-inf")

    def drain(self) -> None:
        """Turns unready for good: the process is about to end."""
        self._draining = True

    async def alive(self, _: Request) -> Response:
        return JSONResponse({"alive": True}, headers={"cache-control": "no-store"})

    async def ready(self, _: Request) -> Response:
        waiting_for = ["the end of this process"] if self._draining else await self._look()
        body = {"ready": not waiting_for, "waitingFor": waiting_for}
        return JSONResponse(body, 503 if waiting_for else 200, headers={"cache-control": "no-store"})

    async def _look(self) -> list[str]:
        async with self._looking:
            if time.monotonic() - self._looked > FRESH_SECONDS:
                serving = await asyncio.gather(*map(self._serves, SERVICES))
                self._waiting_for = [name for name, ok in zip(SERVICES, serving, strict=True) if not ok]
                self._looked = time.monotonic()
        return self._waiting_for

    async def _serves(self, name: str) -> bool:
        request = health_pb2.HealthCheckRequest(service=SERVICES[name])
        try:
            answer = await self._ask[name](request, timeout=CHECK_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING


def _check(channel: grpc.aio.Channel) -> Check:
    return channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
