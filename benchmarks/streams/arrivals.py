"""What one stream brought, and when; and what that says of many."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(slots=True)
class Arrivals:
    times: list[float] = field(default_factory=list)
    """Of each delta, as Unix times."""
    bytes: int = 0
    """Of TCP's content from the first event on."""
    end: float = 0


@dataclass(frozen=True, slots=True)
class Summary:
    streams: int
    tokens: int
    """Of each."""
    seconds: float
    """From the start to the slowest stream's end."""
    start_seconds: float
    """Until the last stream's first delta."""
    deltas: int
    gap_p50: float
    gap_p99: float
    """Between two deltas of a stream, in seconds."""
    bytes_per_token: float


def summary(streams: Sequence[Arrivals], tokens: int, start: float) -> Summary:
    gaps = sorted(later - earlier for stream in streams for earlier, later in pairwise(stream.times))
    return Summary(
        streams=len(streams),
        tokens=tokens,
        seconds=max(stream.end for stream in streams) - start,
        start_seconds=max(stream.times[0] for stream in streams) - start,
        deltas=sum(len(stream.times) for stream in streams),
        gap_p50=gaps[len(gaps) // 2],
        gap_p99=gaps[int(len(gaps) * 0.99)],
        bytes_per_token=sum(stream.bytes for stream in streams) / (len(streams) * tokens),
    )
