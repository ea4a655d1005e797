"""A gRPC server: health by service name that can go red again, reflection by switch, a drain that loses nothing."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import TracebackType

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.chassis.config import ServiceSettings, describe
from services.chassis.door import Door
from services.chassis.errors import DomainError
from services.chassis.process import RefusedError
from services.chassis.telemetry import log, start_logging

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
CHECK_SECONDS = 1.0
"""How often readiness is looked at, and how long one look may take."""

LIVENESS = "liveness"
"""The health service that says whether a restart is needed. Readiness has the names of the services, and no name."""

Check = Callable[[], Awaitable[None]]
"""Raises DomainError (or runs out of time) while the service cannot do its work, and RefusedError if it never can."""

Register = Callable[[grpc.aio.Server], None]

_STATUS = {True: health_pb2.HealthCheckResponse.SERVING, False: health_pb2.HealthCheckResponse.NOT_SERVING}
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A frozen peer is noticed by pings; without these two, keepalive needs a minute and servers hang up on it.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class Server:
    """Serves while its `async with` block runs; leaving it drains."""

    def __init__(
        self,
        settings: ServiceSettings,
        door: Door,
        services: Mapping[ServiceDescriptor, Register],
        checks: Mapping[str, Check] | None = None,
        lives: Mapping[str, Check] | None = None,
    ) -> None:
        """`services` says how each is added to a server; it is ready while every one of `checks` passes.

        It needs no restart while every one of `lives` does: they are about what neither time nor others can mend.
        """
        self._settings = settings
        self._checks, self._lives = checks or {}, lives or {}
        self._names = [descriptor.full_name for descriptor in services]
        self._server = grpc.aio.server(
            interceptors=[door], options=_OPTIONS, maximum_concurrent_rpcs=settings.max_concurrent_calls
        )
        for register in services.values():
            register(self._server)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if settings.reflection:
            reflection.enable_server_reflection(
                [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
            )
        self._watch: asyncio.Task[None] | None = None
        self.port = 0

    async def __aenter__(self) -> "Server":
        """Raises RefusedError, before anything is served, if a check does."""
        failing = await self._failing(self._checks)
        self.port = self._server.add_insecure_port(self._settings.listen)
        await self._set(ready=not failing)
        await self._health.set(LIVENESS, _STATUS[True])
        await self._server.start()
        self._watch = asyncio.create_task(self._watch_checks(failing))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch:
            self._watch.cancel()
        await self._health.enter_graceful_shutdown()
        if error is None:
            await asyncio.sleep(self._settings.drain_seconds)
        await self._server.stop(self._settings.grace_seconds if error is None else None)

    async def refused(self) -> None:
        """Waits; raises the RefusedError of a check that comes to one later."""
        if self._watch:
            await asyncio.shield(self._watch)

    async def _watch_checks(self, failing: Mapping[str, str]) -> None:
        _say(failing)
        dying: Mapping[str, str] = {}
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            before, failing = failing, await self._failing(self._checks)
            if failing != before:
                await self._set(ready=not failing)
                _say(failing)
            before, dying = dying, await self._failing(self._lives)
            if dying.keys() != before.keys():
                await self._health.set(LIVENESS, _STATUS[not dying])
                log(logger, logging.ERROR if dying else logging.INFO, "restart needed" if dying else "alive", why=dying)

    async def _failing(self, checks: Mapping[str, Check]) -> Mapping[str, str]:
        """The checks that do not pass, with what each says. Raises RefusedError."""

        async def run(check: Check) -> str:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await check()
            except DomainError as error:
                return error.message
            except TimeoutError:
                return "It does not answer."
            except RefusedError:
                raise
            except Exception as error:  # noqa: BLE001 - a check that breaks has not passed
                log(logger, logging.ERROR, "a check broke", type=type(error).__name__)
                return "The check broke."
            return ""

        said = await asyncio.gather(*map(run, checks.values()))
        return {name: words for name, words in zip(checks, said, strict=True) if words}

    async def _set(self, ready: bool) -> None:
        for name in ("", *self._names):
            await self._health.set(name, _STATUS[ready])


def _say(failing: Mapping[str, str]) -> None:
    log(logger, logging.INFO, "not ready" if failing else "ready", waiting_for=failing)


async def serve(
    name: str,
    settings: ServiceSettings,
    server: Server,
    *work: Coroutine[None, None, None],
    hand_over: Callable[[], None] = lambda: None,
) -> None:
    """Runs a server, and the work that goes on beside it, until SIGTERM or SIGINT; then drains it.

    Work that fails ends the process: what restarts it also shows that it failed. So does a check that refuses.
    `hand_over` is called when the server is asked to stop, before it drains: for what would not end by itself.
    """
    start_logging(name, settings.log_level)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each) for each in work]
        async with server:
            running.append(tasks.create_task(server.refused()))
            log(logger, logging.INFO, "listening", port=server.port, config=describe(settings))
            await stop.wait()
            log(logger, logging.INFO, "draining")
            hand_over()
        for task in running:
            task.cancel()
    log(logger, logging.INFO, "stopped")
