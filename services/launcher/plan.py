"""The programs of the mesh, and what each is told: the one place that knows who needs whom."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from services.launcher import secret, valkey
from services.launcher.arguments import SERVICES
from services.launcher.config import LauncherSettings
from services.launcher.ports import LOOPBACK, free_ports
from services.launcher.probe import Endpoint, Kind
from services.launcher.program import Program
from services.launcher.refusal import RefusalError
from services.launcher.stores import STORED, VARIABLE, Stores

_STORES = frozenset({valkey.NAME, *STORED})
AFTER = {"conversation": _STORES, "edge": _STORES}
"""Both are busy being imported while inference still loads its model: neither waits for it, or for the other."""
STAGES = {"inference": 1, "conversation": 2, "edge": 3}
"""Who asks is stopped before who answers."""


def make_plan(
    settings: LauncherSettings, secrets: Mapping[str, str], replicas: Mapping[str, int]
) -> tuple[Program, ...]:
    """Chooses ports, and says what shall run. Raises RefusalError."""
    stores = Stores.of(settings)
    for name in STORED:
        if replicas[name] > 1 and name not in stores.servers:
            variable = f"PARLEY_{name.upper()}_STORE_URL"
            raise RefusalError(f"{name} keeps its data in one file and runs once, unless {variable} names a server.")
    journal = [] if settings.redis_url else [valkey.program(settings.data)]
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else valkey.url(*journal)
    ports = iter(free_ports(sum(replicas.values())))
    addresses = {name: [f"{LOOPBACK}:{next(ports)}" for _ in range(replicas[name])] for name in SERVICES}
    wiring = _Wiring(settings, secrets, addresses, stores, redis_url)
    return (*journal, *(program for name in SERVICES for program in wiring.programs(name)))


def public_address(settings: LauncherSettings) -> str:
    """host:port of the edge, as this machine reaches it."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - recognized, not bound
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"


@dataclass(frozen=True, slots=True)
class _Wiring:
    settings: LauncherSettings
    secrets: Mapping[str, str]
    addresses: Mapping[str, list[str]]
    """host:port of every replica, by service."""
    stores: Stores
    redis_url: str

    def programs(self, name: str) -> list[Program]:
        addresses = self.addresses[name]
        return [
            Program(
                name,
                (sys.executable, "-m", f"services.{name}"),
                Endpoint(Kind.HTTP if name == "edge" else Kind.GRPC, address),
                public_address(self.settings) if name == "edge" else address,
                {**self._peers(), **self._identity(name), **self._place(name, address)},
                after=AFTER.get(name, frozenset()),
                stage=STAGES.get(name, 0),
                replica=replica,
                replicas=len(addresses),
            )
            for replica, address in enumerate(addresses, 1)
        ]

    def _peers(self) -> dict[str, str]:
        targets = {
            name: addresses[0] if len(addresses) == 1 else "ipv4:" + ",".join(addresses)
            for name, addresses in self.addresses.items()
            if name != "edge"
        }
        return {f"PARLEY_{name.upper()}_ADDRESS": target for name, target in targets.items()}

    def _identity(self, name: str) -> dict[str, str]:
        own = {"PARLEY_SERVICE_SECRET": self.secrets[name]}
        if name == "auth":
            own["PARLEY_SERVICE_SECRETS"] = ",".join(f"{caller}={self.secrets[caller]}" for caller in secret.CALLERS)
            own["PARLEY_SIGNING_SECRET"] = self.secrets[secret.SIGNING]
        return own

    def _place(self, name: str, address: str) -> dict[str, str]:
        """Where it listens and what it keeps."""
        if name == "edge":
            return {
                "PARLEY_HOST": self.settings.host,
                "PARLEY_PORT": str(self.settings.port),
                "PARLEY_REUSE_PORT": str(len(self.addresses["edge"]) > 1).lower(),
                # Edges may share a port, so that each is asked for its health at a port of its own.
                "PARLEY_METRICS_LISTEN": address,
            }
        place = {"PARLEY_LISTEN": address}
        if name in STORED:
            place[VARIABLE] = self.stores.url(name)
        if name == "conversation":
            place["PARLEY_REDIS_URL"] = self.redis_url
            place["PARLEY_INFERENCE_ADDRESSES"] = ",".join(self.addresses["inference"])
        return place
