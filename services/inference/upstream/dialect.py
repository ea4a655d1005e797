"""How an upstream is asked for a reply and understood. One for each kind of server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from services.chassis.errors import DomainError
from services.inference.engine import engine_failed
from services.inference.upstream.piece import Piece

Json = Mapping[str, Any]

STOP, LENGTH = "stop", "length"
"""What a stream ends with, if it ended well."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The rest of a reply."""

    model: str
    prompt: tuple[int, ...]
    """And the tokens that were emitted."""
    prompt_text: str
    """The same spelled out; empty where the dialect takes ids."""
    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    cache_salt: str
    """One for each tenant, so that no prompt is found in the cache by another's. Secret."""


class Dialect(Protocol):
    path: str
    """Where it is asked, below the server's root."""
    takes_tokens: bool
    queue_gauge: str | None
    """The name, in its /metrics, of how many requests wait there."""

    def body(self, asked: Asked) -> Json:
        """The request, for a stream of server-sent events."""

    def read(self, event: Json) -> Piece:
        """Raises ENGINE_FAILED for an event that is none, and KeyError, TypeError or ValueError as it comes."""


def malformed() -> DomainError:
    return engine_failed("The upstream sent what cannot be understood.")
