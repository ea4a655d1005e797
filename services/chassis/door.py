"""The one interceptor of every server: a call comes in through it, and its errors go out through it."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
from grpc_status import rpc_status

from services.chassis import deadline
from services.chassis.errors import DomainError, Reason, to_status
from services.chassis.identity import KeySource, Verifier, act_for
from services.chassis.telemetry import REQUEST_ID_KEY, TRACE_KEY, current_trace, log, start_trace

logger = logging.getLogger(__name__)

_INFRASTRUCTURE = "/grpc."
"""Health and reflection: they need neither a caller nor a deadline."""

Context = grpc.aio.ServicerContext[Any, Any]


class Door(grpc.aio.ServerInterceptor):
    """Lets in calls that have a deadline and a caller, ties them to their trace, and makes their errors wire."""

    def __init__(self, audience: str, keys: KeySource, open_methods: frozenset[str] = frozenset()) -> None:
        """`open_methods` ("/package.Service/Method") need no caller."""
        self._verifier, self._open = Verifier(audience, keys), open_methods

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_INFRASTRUCTURE):
            return handler

        def enter(context: Context) -> AbstractAsyncContextManager[None]:
            return self._call(method, context)

        return _wrap(handler, enter)

    @asynccontextmanager
    async def _call(self, method: str, context: Context) -> AsyncIterator[None]:
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        current_trace.set(start_trace(metadata.get(REQUEST_ID_KEY, ""), metadata.get(TRACE_KEY, "")))
        started = time.monotonic()
        outcome = "CANCELLED"
        try:
            remaining = context.time_remaining()
            if remaining is None:
                raise DomainError(Reason.DEADLINE_REQUIRED, "Every call needs a deadline.")
            deadline.begin(remaining)
            await self._let_in(method, metadata)
            yield
            outcome = "OK"
        except DomainError as error:
            outcome = error.reason
            await context.abort_with_status(rpc_status.to_status(to_status(error)))
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - the last line: nothing of it may reach the caller
            if context.done():
                return  # the caller has gone; what failed is the writing to it
            outcome = Reason.INTERNAL
            await context.abort_with_status(rpc_status.to_status(to_status(_neutral(method, error))))
        finally:
            took = round((time.monotonic() - started) * 1000, 1)
            log(logger, logging.INFO, "call", method=method, outcome=outcome, milliseconds=took)

    async def _let_in(self, method: str, metadata: dict[str, str]) -> None:
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            act_for(await self._verifier.caller(token))
        elif method not in self._open:
            raise DomainError(Reason.UNAUTHENTICATED, "The call carries no token.")


def _neutral(method: str, error: Exception) -> DomainError:
    error_id = secrets.token_hex(8)
    # The traceback may quote what a user wrote in its last line, so only where it happened is logged.
    where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]
    log(logger, logging.ERROR, "unexpected", method=method, error_id=error_id, type=type(error).__name__, where=where)
    return DomainError(Reason.INTERNAL, f"Something went wrong. Its id is {error_id}.", metadata={"error_id": error_id})


class _Unreadable:
    """Stands for a request whose bytes are not a message of its type."""


_UNREADABLE = _Unreadable()


def _reading(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception:  # noqa: BLE001 - whatever the decoder raises, the bytes are the caller's fault
            return _UNREADABLE

    return read


def _readable(request: Any) -> Any:
    if request is _UNREADABLE:
        raise DomainError(Reason.INVALID_ARGUMENT, "The request is not a readable message: its text must be UTF-8.")
    return request


async def _all_readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _readable(request)


def _wrap(
    handler: grpc.RpcMethodHandler[Any, Any], enter: Callable[[Context], AbstractAsyncContextManager[None]]
) -> grpc.RpcMethodHandler[Any, Any]:
    read = _reading(handler.request_deserializer or bytes)
    write = handler.response_serializer
    check = _all_readable if handler.request_streaming else _readable

    async def answer(request: Any, context: Context) -> Any:
        async with enter(context):
            return await inner(check(request), context)

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
        async with enter(context), contextlib.aclosing(inner(check(request), context)) as responses:
            async for response in responses:
                yield response

    if handler.response_streaming:
        inner: Any = handler.stream_stream if handler.request_streaming else handler.unary_stream
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, read, write)
        return grpc.unary_stream_rpc_method_handler(stream, read, write)
    inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(answer, read, write)
    return grpc.unary_unary_rpc_method_handler(answer, read, write)
