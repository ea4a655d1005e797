"""What the engine shall reach, as ratios within a round."""

DECODE = {1: 1.0, 2: 1.0, 4: 1.25, 8: 2.0, 16: 2.0, 32: 3.0}
"""Against llama.cpp, by requests at once."""
PREFILL = 2.0
OVER_GRPC = 0.95
"""Against the engine in its own process: the mesh takes at most five percent."""


def met(ratio: float | None, aim: float | None) -> str:
    if ratio is None or aim is None:
        return "-"
    return "yes" if ratio >= aim else "no"
