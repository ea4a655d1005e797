"""Endpoints by the configuration's words, and by DNS."""

import asyncio
import socket
from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from services.conversation.routing.dns import Resolved, resolve
from services.conversation.routing.endpoints import Fixed, endpoints_of
from services.conversation.routing.kubernetes import EndpointSlices
from tests.conversation.steps import a_config
from tests.conversation.told import followed


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1:50051", Fixed),
        ("inference:50051", Fixed),
        ("[::1]:50051", Fixed),
        ("unix:/run/inference.sock", Fixed),
        ("ipv4:10.0.0.1:1,10.0.0.2:1", Fixed),
        ("dns:///inference.parley.svc:50051", Resolved),
        ("k8s:///parley/inference:grpc", EndpointSlices),
        ("k8s:///parley/inference:50051", EndpointSlices),
    ],
)
def test_the_scheme_says_who_knows_the_replicas(address: str, kind: type) -> None:
    assert isinstance(endpoints_of(address), kind)
    assert a_config("redis://x", inference_addresses=(address,)).inference_addresses == (address,)


@pytest.mark.parametrize("address", ["inference", "dns:///inference", "dns://8.8.8.8/x:1", "k8s:///x:1", "http://x:1"])
def test_an_address_of_no_kind_is_refused_by_the_configuration(address: str) -> None:
    with pytest.raises(ValidationError, match="is not host:port, dns:///name:port or k8s:///"):
        a_config("redis://x", inference_addresses=address)


async def test_one_address_is_one_replica() -> None:
    async with followed(Fixed("a:1")) as told:
        await told.until("a:1")


class Names:
    """A resolver that a test answers for."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Sequence[str] | OSError] = asyncio.Queue()

    async def resolve(self, name: str, port: int) -> Sequence[str]:
        assert (name, port) == ("inference", 50051)
        answer = await self.answers.get()
        self.answers.task_done()
        if isinstance(answer, OSError):
            raise answer
        return answer


async def test_a_name_is_followed_and_its_last_addresses_outlive_the_resolver() -> None:
    names = Names()
    async with followed(Resolved("inference", 50051, names.resolve, again_seconds=0)) as told:
        for answer in (
            ["10.0.0.1", "10.0.0.2"],
            ["10.0.0.2", "10.0.0.1"],
            socket.gaierror(),
            [],
            ["10.0.0.2", "fd::3"],
        ):
            names.answers.put_nowait(answer)
        await told.until("10.0.0.2:50051", "[fd::3]:50051")
        assert told.all == [{"10.0.0.1:50051", "10.0.0.2:50051"}, {"10.0.0.2:50051", "[fd::3]:50051"}]


async def test_the_system_resolves_names_and_tells_each_host_once() -> None:
    assert set(await resolve("localhost", 1)) == {"127.0.0.1"}
    assert await resolve("::1", 1) == ["::1"]
    with pytest.raises(socket.gaierror):
        await resolve("no-such-name.invalid", 1)
