"""Another service as its callers see it: who asks, until when, and what to do when it does not answer."""

import json
from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

import grpc

from services.chassis.deadline import within
from services.chassis.errors import from_rpc
from services.chassis.identity import Caller, caller
from services.chassis.server import MAX_MESSAGE_BYTES
from services.chassis.telemetry import REQUEST_ID_KEY, TRACE_KEY, current_trace
from services.chassis.tokens import Tokens

DEFAULT_TIMEOUT = 5.0
"""Seconds for a unary call that names no other."""

Request = TypeVar("Request")
Request_contra = TypeVar("Request_contra", contravariant=True)
Response = TypeVar("Response")
Response_co = TypeVar("Response_co", covariant=True)


class UnaryMethod(Protocol[Request_contra, Response_co]):
    """A method of an asynchronous stub."""

    def __call__(
        self, request: Request_contra, *, timeout: float | None, metadata: grpc.aio.Metadata
    ) -> Awaitable[Response_co]: ...


def open_channel(address: str, idempotent: Sequence[str] = ()) -> grpc.aio.Channel:
    """A channel to all addresses behind `address`, in turn.

    `idempotent` names services ("package.Service") or methods ("package.Service/Method") whose calls are repeated, up
    to three times, when the peer could not be reached.
    """
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.service_config", json.dumps(_service_config(idempotent))),
            # Each channel its own connections, so that closing one never touches another's calls.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 2_000),
            ("grpc.http2.ping_timeout_ms", 2_000),
        ],
    )


def _service_config(idempotent: Sequence[str]) -> dict[str, object]:
    names = [dict(zip(("service", "method"), name.split("/"), strict=False)) for name in idempotent]
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    methods = [{"name": names, "retryPolicy": retry}] if names else []
    return {"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": methods}


class Peer:
    """A service that this one calls."""

    def __init__(self, name: str, channel: grpc.aio.Channel, tokens: Tokens) -> None:
        self.name, self.channel, self._tokens = name, channel, tokens

    async def call(
        self,
        method: UnaryMethod[Request, Response],
        request: Request,
        *,
        seconds: float = DEFAULT_TIMEOUT,
        as_service: bool = False,
    ) -> Response:
        """A unary call for the current caller, or for this service itself. Raises DomainError, never an RpcError."""
        metadata = await self.metadata(None if as_service else caller())
        try:
            return await method(request, timeout=within(seconds), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from None

    async def metadata(self, who: Caller | None) -> grpc.aio.Metadata:
        """What a call made for `who` (None: for this service itself) carries."""
        metadata = grpc.aio.Metadata(("authorization", f"Bearer {await self._tokens.token(self.name, who)}"))
        if trace := current_trace.get():
            metadata.add(REQUEST_ID_KEY, trace.request_id)
            metadata.add(TRACE_KEY, trace.traceparent)
        return metadata
