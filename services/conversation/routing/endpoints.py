"""Where inference replicas listen, by the addresses of the configuration."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.conversation.routing.dns import Resolved

Tell = Callable[[frozenset[str]], None]

_DNS = re.compile(r"dns:///(?P<name>\[[^\s/\]]+\]|[^\s/:\[\]]+):(?P<port>\d{1,5})")
_KUBERNETES = re.compile(r"k8s:///(?P<namespace>[a-z0-9-]+)/(?P<service>[a-z0-9-]+):(?P<port>[a-z0-9-]+)")
_GRPC = re.compile(r"(\[[^\s/\]]+\]|[^\s/:\[\]]+):\d{1,5}|(unix|ipv4|ipv6):\S+")


class Endpoints(Protocol):
    async def follow(self, tell: Tell) -> None:
        """Tells the addresses that may be given new turns: once they are known, and whenever they changed.

        Never fails: while nobody answers who knows them, those that were told last hold.
        """


@dataclass(frozen=True, slots=True)
class Fixed:
    """One address that gRPC understands."""

    address: str

    async def follow(self, tell: Tell) -> None:
        tell(frozenset([self.address]))


def endpoints_of(address: str) -> Endpoints:
    """`host:port` is one replica; `dns:///name:port` is one for each address of the name;
    `k8s:///namespace/service:port` is one for each ready endpoint of a Kubernetes Service. Raises ValueError."""
    if match := _DNS.fullmatch(address):
        return Resolved(match["name"].strip("[]"), int(match["port"]))
    if match := _KUBERNETES.fullmatch(address):
        # Its package, which is large, is loaded where a cluster is watched.
        from services.conversation.routing.kubernetes import EndpointSlices

        return EndpointSlices(match["namespace"], match["service"], match["port"])
    check_address(address)
    return Fixed(address)


def check_address(address: str) -> None:
    """Raises ValueError where an address is none of the three kinds."""
    if address.startswith("dns:"):
        known = _DNS.fullmatch(address)
    elif address.startswith("k8s:"):
        known = _KUBERNETES.fullmatch(address)
    else:
        known = _GRPC.fullmatch(address)
    if not known:
        raise ValueError(f"{address} is not host:port, dns:///name:port or k8s:///namespace/service:port")
