"""What shall run: a command, its environment, and how it is known to be ready."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.launcher.probe import Endpoint


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    command: tuple[str, ...]
    endpoint: Endpoint
    address: str
    """Where others reach it."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """On top of the launcher's own. Holds secrets."""
    after: frozenset[str] = frozenset()
    """It is started when these have been ready once."""
    stage: int = 0
    """It is stopped when those of later stages have ended."""
    replica: int = 1
    replicas: int = 1
    quiet: bool = False
    """Whether what it says outside of JSON is for its log file alone."""

    @property
    def label(self) -> str:
        return f"{self.name}[{self.replica}]" if self.replicas > 1 else self.name

    @property
    def log_name(self) -> str:
        return f"{self.name}-{self.replica}.log"
