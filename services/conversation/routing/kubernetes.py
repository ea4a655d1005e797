"""The endpoints of a Kubernetes Service, by watching its EndpointSlices."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import urllib3
from kubernetes import client, config

from services.chassis.telemetry import log
from services.conversation.routing.slices import Slices

logger = logging.getLogger(__name__)

WATCH_SECONDS = 60
"""A watch is opened again after so long, so that one that went dead without a word is noticed."""
CONNECT_SECONDS = 3.0
LIST_SECONDS = 10.0
READ_SECONDS = WATCH_SECONDS + LIST_SECONDS
RETRY_SECONDS = (0.5, 10.0)
"""The first and the longest pause before a server that failed is asked again."""
STOP_SECONDS = 1.0


class _TornError(Exception):
    """An answer that ends in its middle, or is no JSON."""


FAILURES = (
    *(client.ApiException, config.ConfigException, urllib3.exceptions.HTTPError, OSError),
    *(_TornError, LookupError, TypeError, ValueError, AttributeError),  # an answer that has not the shape of this API
)

Tell = Callable[[frozenset[str]], None]
Connect = Callable[[], client.DiscoveryV1Api]


def connect() -> client.DiscoveryV1Api:
    """As the pod's service account, or as the user of a kubeconfig outside a cluster."""
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.retries = False  # what failed is tried again here, and said
    return client.DiscoveryV1Api(client.ApiClient(configuration))


class EndpointSlices:
    """Those of one Service. While the API server is away, what it said last holds.

    Needs to `list` and `watch` `endpointslices` of `discovery.k8s.io` in the Service's namespace.
    """

    def __init__(self, namespace: str, service: str, port: str, connect: Connect = connect) -> None:
        self._namespace, self._service, self._port, self._connect = namespace, service, port, connect

    async def follow(self, tell: Tell) -> None:
        loop = asyncio.get_running_loop()

        def found(addresses: frozenset[str]) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell, addresses)

        watch = _Watch(self._namespace, self._service, self._port, self._connect, found)
        thread = threading.Thread(target=watch.run, name="endpoint slices", daemon=True)
        thread.start()
        try:
            await loop.create_future()
        finally:
            watch.stop()
            await asyncio.to_thread(thread.join, STOP_SECONDS)


class _Watch:
    """The package blocks: it has a thread of its own, which every wait leaves by a deadline."""

    def __init__(self, namespace: str, service: str, port: str, connect: Connect, tell: Tell) -> None:
        self._of = {"namespace": namespace, "label_selector": f"kubernetes.io/service-name={service}"}
        self._connect, self._tell = connect, tell
        self._slices = Slices(port)
        self._told: frozenset[str] | None = None
        self._version = ""
        """The resource version to watch from; empty where all has to be listed."""
        self._stopping = threading.Event()
        self._response: urllib3.HTTPResponse | None = None

    def run(self) -> None:
        pause = RETRY_SECONDS[0]
        api: client.DiscoveryV1Api | None = None
        while not self._stopping.is_set():
            try:
                api = api or self._connect()
                if not self._version:
                    self._list(api)
                self._watch(api)
                pause = RETRY_SECONDS[0]
            except FAILURES as error:
                if self._stopping.is_set():
                    return
                # 410: the version is too old. For anything else, listing is no more work than asking what was missed.
                self._version = ""
                why = getattr(error, "status", None) or type(error).__name__
                log(logger, logging.WARNING, "endpoint slices not watched", why=why)
                self._stopping.wait(pause)
                pause = min(pause * 2, RETRY_SECONDS[1])

    def stop(self) -> None:
        self._stopping.set()
        response = self._response
        if response is not None:
            with suppress(OSError, urllib3.exceptions.HTTPError):
                response.shutdown()  # wakes who reads it

    def _list(self, api: client.DiscoveryV1Api) -> None:
        listed = _parse(self._ask(api, LIST_SECONDS).data)
        self._slices.replace(listed.get("items") or ())
        self._version = listed["metadata"]["resourceVersion"]
        self._tell_change()

    def _watch(self, api: client.DiscoveryV1Api) -> None:
        self._response = response = self._ask(
            *(api, READ_SECONDS),
            watch=True,
            resource_version=self._version,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_SECONDS,
        )
        try:
            if self._stopping.is_set():  # before there was a response to shut
                return
            for line in response:
                if line.strip():
                    self._take(_parse(line))
        finally:
            self._response = None
            response.close()

    def _ask(self, api: client.DiscoveryV1Api, seconds: float, **parameters: object) -> urllib3.HTTPResponse:
        # Raw, because the package's models refuse a slice whose `endpoints` is null, as that of a Service of no pod is.
        ask = cast("Callable[..., urllib3.HTTPResponse]", api.list_namespaced_endpoint_slice)
        timeout = (CONNECT_SECONDS, seconds)
        response = ask(**self._of, **parameters, _preload_content=False, _request_timeout=timeout)
        if not 200 <= response.status < 300:
            raise client.ApiException(status=response.status, reason=response.reason)
        return response

    def _take(self, event: dict[str, Any]) -> None:
        changed = event["object"]
        if event["type"] == "ERROR":
            raise client.ApiException(status=changed.get("code"), reason=changed.get("reason"))
        self._version = changed["metadata"]["resourceVersion"]
        if event["type"] != "BOOKMARK":
            self._slices.apply(event["type"], changed)
            self._tell_change()

    def _tell_change(self) -> None:
        addresses = self._slices.addresses()
        if addresses != self._told:
            self._told = addresses
            self._tell(addresses)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        raise _TornError from None
    if not isinstance(parsed, dict):
        raise _TornError
    return parsed
