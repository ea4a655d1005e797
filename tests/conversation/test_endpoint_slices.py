"""EndpointSlices: who in them takes turns, and a watch that outlives its server."""

import threading
from collections.abc import AsyncIterator

import pytest
from kubernetes import client

from services.conversation.routing.kubernetes import EndpointSlices
from services.conversation.routing.slices import Slices
from tests.conversation.api_server import SERVICE, ApiServer, a_pod, a_slice, api_server
from tests.conversation.told import followed

ONE, TWO, THREE = (f"10.0.0.{number}:50051" for number in (1, 2, 3))


def addresses(*slices: dict[str, object], port: str = "grpc") -> set[str]:
    known = Slices(port)
    known.replace(slices)
    return set(known.addresses())


def test_only_who_is_ready_serving_and_not_terminating_takes_turns() -> None:
    pods = [
        a_pod("10.0.0.1"),
        a_pod("10.0.0.2", ready=None),
        a_pod("10.0.0.3", ready=None, serving=None, terminating=None),
        a_pod("10.0.0.4", ready=False),
        a_pod("10.0.0.5", serving=False),  # of a Service that publishes all
        a_pod("10.0.0.6", terminating=True),
        a_pod("10.0.0.7", ready=False, serving=True, terminating=True),
    ]
    assert addresses(a_slice("a", pods)) == {ONE, TWO, THREE}


def test_a_pod_that_stands_in_two_slices_counts_once() -> None:
    both = a_slice("v6", [a_pod("fd::1", "pod-1"), a_pod("fd::2", "pod-2")], "IPv6")
    twice = a_slice("b", [a_pod("10.0.0.1", "pod-1")])
    assert addresses(both, twice, a_slice("a", [a_pod("10.0.0.1", "pod-1")])) == {ONE, "[fd::2]:50051"}


def test_the_port_is_a_name_or_a_number() -> None:
    pods = a_slice("a", [a_pod("10.0.0.1")])
    assert addresses(pods, port="metrics") == {"10.0.0.1:9000"}
    assert addresses(pods, port="4711") == {"10.0.0.1:4711"}
    assert addresses(pods, port="http") == set()


def test_a_service_without_pods_has_no_endpoints() -> None:
    assert addresses(a_slice("a", None)) == addresses() == set()
    assert addresses(a_slice("a", [a_pod("x.example")], "FQDN")) == set()


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with api_server() as running:
        await running.change("a", a_slice("a", [a_pod("10.0.0.1"), a_pod("10.0.0.2")]))
        yield running


def watched(server: ApiServer) -> EndpointSlices:
    def connect() -> client.DiscoveryV1Api:
        configuration = client.Configuration(host=f"http://127.0.0.1:{server.port}")
        configuration.retries = False
        return client.DiscoveryV1Api(client.ApiClient(configuration))

    return EndpointSlices("parley", SERVICE, "grpc", connect)


async def test_a_watch_brings_each_change(server: ApiServer) -> None:
    async with followed(watched(server)) as told:
        await told.until(ONE, TWO)
        await server.change("a", a_slice("a", [a_pod("10.0.0.1"), a_pod("10.0.0.2", terminating=True)]))
        await told.until(ONE)
        await server.change("b", a_slice("b", [a_pod("10.0.0.3")]))
        await told.until(ONE, THREE)
        await server.change("a", None)
        await told.until(THREE)
        await server.change("b", a_slice("b", None))
        await told.until()
    assert [asked.get("watch", "").lower() for asked in server.asked] == ["", "true"]  # one list, one watch


async def test_history_that_is_gone_is_listed_again(server: ApiServer) -> None:
    async with followed(watched(server)) as told:
        await told.until(ONE, TWO)
        await server.change("a", a_slice("a", [a_pod("10.0.0.2")]), quietly=True)
        await told.until(TWO)
        await server.change("b", a_slice("b", [a_pod("10.0.0.3")]))
        await told.until(TWO, THREE)


async def test_the_last_endpoints_outlive_the_server_and_are_mended_when_it_returns(server: ApiServer) -> None:
    async with followed(watched(server)) as told:
        await told.until(ONE, TWO)
        await server.die()
        await server.change("a", a_slice("a", [a_pod("10.0.0.3")]), quietly=True)
        await server.open()
        await told.until(THREE)
    assert told.all == [{ONE, TWO}, {THREE}]


async def test_a_server_that_refuses_changes_nothing(server: ApiServer) -> None:
    server.status = 403
    async with followed(watched(server)) as told:
        await server.until_asked()
        server.status = 200
        await told.until(ONE, TWO)
    assert told.all == [{ONE, TWO}]


async def test_who_stops_following_leaves_no_thread(server: ApiServer) -> None:
    async with followed(watched(server)) as told:
        await told.until(ONE, TWO)
        assert [thread.name for thread in threading.enumerate()].count("endpoint slices") == 1
    assert [thread.name for thread in threading.enumerate()].count("endpoint slices") == 0
