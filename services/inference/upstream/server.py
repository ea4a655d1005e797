"""What an upstream says of itself: which kind it is, the model's context, whether it lives, how long its queue is."""

import json
from dataclasses import dataclass

from services.chassis.errors import DomainError, Reason
from services.inference.upstream.connection import Connection
from services.inference.upstream.dialect import Dialect, Json, malformed
from services.inference.upstream.llama_cpp import LlamaCpp
from services.inference.upstream.openai import TextCompletions
from services.inference.upstream.vllm import SGLANG, VLLM

DIALECTS: dict[str, Dialect] = {
    "vllm": VLLM,
    "sglang": SGLANG,
    "llama.cpp": LlamaCpp(),
    "openai": TextCompletions(),
}
_OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp"}
"""What each kind writes into `owned_by` of its models."""


@dataclass(frozen=True, slots=True)
class Described:
    kind: str
    """A key of DIALECTS."""
    context_length: int | None
    """Of the model there, if it tells."""


async def describe(connection: Connection, model: str, kind: str | None) -> Described:
    """`kind` is the one that was configured. Raises UNAVAILABLE if the model is not served, or what `get` does."""
    answer = await connection.get("/v1/models")
    try:
        cards = json.loads(answer)["data"] if answer else []
        card = next((card for card in cards if model in (card["id"], *card.get("aliases", ()))), None)
    except (KeyError, TypeError, ValueError):
        raise malformed() from None
    if card is None:
        raise DomainError(Reason.UNAVAILABLE, "The upstream does not serve the model.")
    kind = kind or _OWNERS.get(card.get("owned_by", ""), "openai")
    return Described(kind, _context_length(card))


def _context_length(card: Json) -> int | None:
    length = card.get("max_model_len") or (card.get("meta") or {}).get("n_ctx")
    return length if isinstance(length, int) else None


async def check(connection: Connection) -> None:
    """Raises what `get` does while the upstream cannot generate."""
    if await connection.get("/health") is None:
        await connection.get("/v1/models")


async def queue_length(connection: Connection, dialect: Dialect) -> int:
    """Requests of everybody that wait there; 0 where the upstream does not tell."""
    if not dialect.queue_gauge:
        return 0
    try:
        return _sum(await connection.get("/metrics") or b"", dialect.queue_gauge)
    except (DomainError, ValueError):
        return 0  # it may be switched off, or be for others


def _sum(metrics: bytes, name: str) -> int:
    """A gauge in Prometheus' text format, all its labels together."""
    total = 0.0
    for line in metrics.decode(errors="replace").splitlines():
        words = line.rpartition(" ")
        if words[0].partition("{")[0] == name:
            total += float(words[2])
    return int(total)
