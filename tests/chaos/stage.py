"""What stands around a mesh under test: servers and proxies that a fault needs before the mesh starts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.proxy import Proxy
from tests.valkey import Valkey


@dataclass(frozen=True, slots=True)
class Stage:
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of the mesh, on top of everything else."""
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    """By the name of the store that they stand before."""
    valkey: Valkey | None = None
    """The journal's server, where it is not the launcher's."""


@asynccontextmanager
async def empty_stage(_: Path) -> AsyncIterator[Stage]:
    yield Stage()
