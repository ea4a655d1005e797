"""How likely the tokens of a row were, as it left the model: at temperature 1, before top_p and any mask."""

import numpy as np
from numpy.typing import NDArray

from services.inference.engine import Logprobs
from services.inference.nucleus import log_sum


def measure(row: NDArray[np.float32], token: int, count: int) -> Logprobs:
    """Of the token and of the `count` likeliest."""
    total = log_sum(row)
    return Logprobs(token, float(row[token]) - total, tuple((i, float(row[i]) - total) for i in _likeliest(row, count)))


def _likeliest(row: NDArray[np.float32], count: int) -> list[int]:
    if not count:
        return []
    count = min(count, row.size)
    least = np.partition(row, -count)[-count]
    # More than wanted only if the last ones are as likely: then the lower tokens go first.
    places = np.flatnonzero(row >= least)
    ranked: list[int] = places[np.argsort(-row[places], kind="stable")][:count].tolist()
    return ranked
