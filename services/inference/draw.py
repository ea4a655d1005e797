"""What a sampler is asked for, and what it brings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.inference.engine import Logprobs

TokenMask = NDArray[np.uint32]
"""Which tokens are allowed: bit t % 32 of word t // 32 says it of token t."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """How a row's token is drawn."""

    temperature: float
    top_p: float
    seed: int
    position: int
    mask: TokenMask | None = None
    """Only these tokens may be drawn."""
    top_logprobs: int | None = None
    """How many of the likeliest tokens are told; None: not even how likely the drawn one was."""


@dataclass(frozen=True, slots=True)
class Drawn:
    token: int
    logprobs: Logprobs | None = None
