"""Draws tokens: a token is a function of its logits, its parameters and (seed, position), whoever shares the batch.

The random number of (seed, position) goes through the inverse of the cumulative distribution of temperature- and
top-p-filtered probabilities (nucleus sampling: A. Holtzman et al., "The curious case of neural text degeneration", ICLR
2020). The distribution is laid out by token id, not by rank: probabilities that differ in their last bits, because a
reply is continued by another kernel or machine, then move its borders by as little, and never swap two tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from services.inference import nucleus
from services.inference.draw import Draw, Drawn
from services.inference.logprobs import measure

if TYPE_CHECKING:
    from torch import Tensor


def sample(logits: Tensor | nucleus.Floats, draws: Sequence[Draw]) -> list[Drawn | None]:
    """A token for each row of `logits` [rows, vocabulary], or None where it is not a distribution (NaN, infinite).

    Takes one core about 0.1 ms for a row of 50,000. Rows may be shared out among threads, for it waits without Python's
    lock.
    """
    if isinstance(logits, np.ndarray):
        rows = logits
    elif logits.is_cpu:
        rows = logits.float().contiguous().numpy()
    else:
        # Only now: who computes without a device does without torch, which takes seconds to import.
        from services.inference.device_sampler import sample_on_device

        return sample_on_device(logits, draws)
    scratch = _scratch(rows.shape[-1])
    return [scratch.sample(row, draw) for row, draw in zip(rows, draws, strict=True)]


class _Scratch:
    """What rows of one size are computed in, one after another."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._weights, self._masked = np.empty(size, np.float32), np.empty(size, np.float32)
        self._places = np.empty(size, np.int32)

    def sample(self, row: nucleus.Floats, draw: Draw) -> Drawn | None:
        peak = row.max()
        if not np.isfinite(peak):
            return None
        allowed = row
        if draw.mask is not None:
            assert draw.mask.size * 32 >= row.size
            nucleus.mask_row(row, draw.mask, self._masked)
            allowed, peak = self._masked, self._masked.max()
            if not np.isfinite(peak):
                return None
        # A temperature too small for the logits' precision is none.
        if temperature := np.float32(draw.temperature):
            number = nucleus.uniform(draw.seed, draw.position)
            token = nucleus.draw(allowed, peak, temperature, draw.top_p, number, self._weights, self._places)
        else:
            token = int(allowed.argmax())
        if draw.top_logprobs is None:
            return Drawn(token)
        return Drawn(token, measure(row, token, draw.top_logprobs))


_threads = threading.local()


def _scratch(size: int) -> _Scratch:
    """The thread's own, kept: to ask the system for new memory takes as long as to draw a row."""
    kept: _Scratch | None = getattr(_threads, "scratch", None)
    if not kept or kept.size != size:
        kept = _threads.scratch = _Scratch(size)
    return kept
