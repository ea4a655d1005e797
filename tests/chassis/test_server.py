"""Health, drain and reflection of a server, and calls to a peer that comes and goes."""

import asyncio
import sys
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from parley.history.v1 import history_service_pb2 as pb
from parley.history.v1.history_service_pb2_grpc import HistoryServiceStub
from services.chassis.channel import open_channel
from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError
from services.chassis.server import LIVENESS
from tests.chassis.echo import channel_to, served
from tests.identity import Signer

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
NAME = "parley.history.v1.HistoryService"


async def test_health_goes_red_and_green_again_by_service_name() -> None:
    store = {"works": True}

    async def check() -> None:
        if not store["works"]:
            raise DomainError(Reason.UNAVAILABLE, "away")

    async with served(Signer(), checks={"store": check}) as server, channel_to(server) as channel:
        request = health_pb2.HealthCheckRequest(service=NAME)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        statuses = stub.Watch(request, timeout=20)

        async def until(wanted: object) -> None:
            while (await statuses.read()).status != wanted:
                pass

        async with asyncio.timeout(15):
            await until(SERVING)
            store["works"] = False
            await until(NOT_SERVING)
            store["works"] = True
            await until(SERVING)
        statuses.cancel()


async def test_liveness_is_not_readiness() -> None:
    steps = {"end": True}

    async def never_ready() -> None:
        raise DomainError(Reason.UNAVAILABLE, "away")

    async def check() -> None:
        if not steps["end"]:
            raise DomainError(Reason.UNAVAILABLE, "A step hangs.")

    async with (
        asyncio.timeout(15),
        served(Signer(), checks={"store": never_ready}, lives={"steps": check}) as server,
        channel_to(server) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        statuses = stub.Watch(health_pb2.HealthCheckRequest(service=LIVENESS), timeout=20)
        assert (await statuses.read()).status == SERVING
        assert (await stub.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=5)).status == NOT_SERVING
        steps["end"] = False
        assert (await statuses.read()).status == NOT_SERVING
        steps["end"] = True
        assert (await statuses.read()).status == SERVING
        statuses.cancel()


async def test_a_call_in_flight_ends_well_while_the_server_drains() -> None:
    came, may_end = asyncio.Event(), asyncio.Event()

    async def wait(request: pb.GetMessageRequest) -> pb.GetMessageResponse:
        came.set()
        await may_end.wait()
        return pb.GetMessageResponse(message=pb.Message(message_id=request.message_id))

    signer = Signer()
    serving = served(signer, wait, grace_seconds=10)
    server = await serving.__aenter__()
    async with channel_to(server) as channel:
        call = asyncio.ensure_future(
            HistoryServiceStub(channel).GetMessage(
                pb.GetMessageRequest(message_id="x"), metadata=signer.metadata("history", "ann"), timeout=10
            )
        )
        await came.wait()
        leaving = asyncio.create_task(serving.__aexit__(None, None, None))
        await asyncio.sleep(0)
        may_end.set()
        assert (await call).message.message_id == "x"
        await leaving


@pytest.mark.parametrize("on", [True, False])
async def test_reflection_is_a_switch(on: bool) -> None:
    async with served(Signer(), reflection=on) as server, channel_to(server) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("grpc.Channel", channel))
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5)
        if on:
            names = {service.name async for answer in call for service in answer.list_services_response.service}
            assert NAME in names
        else:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_idempotent_call_finds_a_replica_that_lives() -> None:
    signer = Signer()
    async with served(signer) as first, served(signer) as second:
        address = f"ipv4:127.0.0.1:{first.port},127.0.0.1:{second.port},127.0.0.1:1"
        async with open_channel(address, [NAME]) as channel:
            for _ in range(12):
                answer = await HistoryServiceStub(channel).GetMessage(
                    pb.GetMessageRequest(message_id="x"), metadata=signer.metadata("history", "ann"), timeout=5
                )
                assert answer.message.message_id == "x"


async def test_a_check_that_refuses_at_the_start_serves_nothing() -> None:
    async def check() -> None:
        raise RefusedError("The schema is too new.")

    with pytest.raises(RefusedError, match="too new"):
        async with served(Signer(), checks={"store": check}):
            pytest.fail("it serves")


async def test_a_check_that_refuses_later_ends_the_process() -> None:
    checks = ["works"]

    async def check() -> None:
        if not checks:
            raise RefusedError("The schema is too new.")
        checks.pop()

    async with served(Signer(), checks={"store": check}) as server, asyncio.timeout(10):
        with pytest.raises(RefusedError, match="too new"):
            await server.refused()


PROCESS = """
import asyncio
import sys
from services.chassis.process import RefusedError, run

async def main():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.sleep(60))
        tasks.create_task(refuse())

async def refuse():
    raise RefusedError("The password is wrong.")

run(main)
"""


async def test_a_refused_process_ends_with_status_2_and_one_sentence() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROCESS, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert (process.returncode, said) == (2, b"The password is wrong.\n")
