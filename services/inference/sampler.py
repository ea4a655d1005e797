"""Draws tokens: a token is a function of its logits, its parameters and (seed, position), whoever shares the batch.

The random number of (seed, position) goes through the inverse of the cumulative distribution of temperature- and
top-p-filtered probabilities (nucleus sampling: A. Holtzman et al., "The curious case of neural text degeneration", ICLR
2020). The distribution is laid out by token id, not by rank: probabilities that differ in their last bits, because a
reply is continued by another kernel or machine, then move its borders by as little, and never swap two tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from services.inference.philox import uniforms

LIKELIEST = 256
"""Tokens among which the nucleus is looked for before the whole vocabulary is sorted."""


@dataclass(frozen=True, slots=True)
class Draw:
    temperature: float
    top_p: float
    seed: int
    position: int


def sample(logits: Tensor, draws: Sequence[Draw]) -> list[int | None]:
    """A token for each row of `logits` [rows, vocabulary], or None where it is not a distribution (NaN, infinite)."""
    peaks, greedy = logits.max(dim=-1)
    usable: list[bool] = torch.isfinite(peaks).tolist()
    tokens: list[int] = greedy.tolist()
    rows = [row for row, draw in enumerate(draws) if draw.temperature > 0 and usable[row]]
    if rows:
        drawn = _draw(logits[rows], peaks[rows], [draws[row] for row in rows])
        for row, token in zip(rows, drawn, strict=True):
            tokens[row] = token
    return [token if ok else None for token, ok in zip(tokens, usable, strict=True)]


def _draw(logits: Tensor, peaks: Tensor, draws: Sequence[Draw]) -> list[int]:
    # The peak is taken off first, so that a tiny temperature cannot overflow.
    temperatures = _column(logits, [draw.temperature for draw in draws])
    probabilities = torch.softmax((logits - peaks[:, None]).float() / temperatures, dim=-1)
    kept = probabilities * (probabilities >= _thresholds(probabilities, [draw.top_p for draw in draws]))
    cumulative = kept.cumsum(dim=-1, dtype=torch.float64)
    total = cumulative[:, -1:].contiguous()
    numbers = torch.from_numpy(uniforms([draw.seed for draw in draws], [draw.position for draw in draws]))
    drawn = torch.searchsorted(cumulative, numbers.to(logits.device)[:, None] * total, right=True)
    # The product may round up to the whole: then the last token that is kept is meant.
    last = torch.searchsorted(cumulative, total)
    tokens: list[int] = torch.minimum(drawn, last).flatten().tolist()
    return tokens


def _thresholds(probabilities: Tensor, top_ps: Sequence[float]) -> Tensor:
    """The probability of the last token in each row's nucleus [rows, 1]; tokens as likely as it are all kept."""
    wanted = _column(probabilities, top_ps, torch.float64)
    likeliest = probabilities.topk(min(LIKELIEST, probabilities.shape[-1])).values
    thresholds = _threshold(likeliest, wanted)
    short = (likeliest.sum(dim=-1, dtype=torch.float64)[:, None] < wanted).flatten()
    if bool(short.any()):
        ranked = probabilities[short].sort(dim=-1, descending=True).values
        thresholds[short] = _threshold(ranked, wanted[short])
    return thresholds * (wanted < 1)


def _threshold(ranked: Tensor, wanted: Tensor) -> Tensor:
    """The first of the falling probabilities at which their sum reaches what is wanted, or else the last."""
    reached = torch.searchsorted(ranked.cumsum(dim=-1, dtype=torch.float64), wanted)
    return ranked.gather(-1, reached.clamp(max=ranked.shape[-1] - 1))


def _column(like: Tensor, values: Sequence[float], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=like.device)[:, None]
