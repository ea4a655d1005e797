"""A Kubernetes Service's EndpointSlices (discovery.k8s.io/v1) as its API tells them, and who in them takes turns."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.conversation.routing.dns import at

Slice = Mapping[str, Any]
"""The object's JSON."""


class Slices:
    """All slices of a Service, as far as told."""

    def __init__(self, port: str) -> None:
        """`port` is the name of the Service's port, or the number that the replicas listen on."""
        self._port = port
        self._slices: dict[str, Slice] = {}

    def replace(self, slices: Iterable[Slice]) -> None:
        self._slices = {each["metadata"]["name"]: each for each in slices}

    def apply(self, kind: str, changed: Slice) -> None:
        """An event of a watch: ADDED, MODIFIED or DELETED."""
        if kind == "DELETED":
            self._slices.pop(changed["metadata"]["name"], None)
        else:
            self._slices[changed["metadata"]["name"]] = changed

    def addresses(self) -> frozenset[str]:
        """Of the endpoints that may be given new turns, each pod once: by IPv4 where it has both."""
        found: dict[str, str] = {}
        for each in sorted(self._slices.values(), key=lambda each: str(each["addressType"])):
            port = self._port_of(each)
            if each["addressType"] not in ("IPv4", "IPv6") or not port:
                continue
            for endpoint in each.get("endpoints") or ():
                if _takes_turns(endpoint.get("conditions") or {}):
                    address = endpoint["addresses"][0]  # all of one endpoint are the same pod's
                    pod = (endpoint.get("targetRef") or {}).get("uid") or address
                    found.setdefault(pod, at(address, port))
        return frozenset(found.values())

    def _port_of(self, each: Slice) -> int:
        """0 where the slice does not have the port."""
        if self._port.isdecimal():
            return int(self._port)
        ports = each.get("ports") or ()
        return next((port["port"] for port in ports if port.get("name") == self._port and port.get("port")), 0)


def _takes_turns(conditions: Mapping[str, bool | None]) -> bool:
    """Unset, `ready` and `serving` mean yes and `terminating` no. Of a Service that publishes pods that are not ready,
    all are `ready`, and `serving` tells."""
    ready, serving = conditions.get("ready"), conditions.get("serving")
    return ready is not False and serving is not False and not conditions.get("terminating")
