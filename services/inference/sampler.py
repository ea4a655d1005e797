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
"""Tokens among which a nucleus is looked for before the whole vocabulary is."""


@dataclass(frozen=True, slots=True)
class Draw:
    temperature: float
    top_p: float
    seed: int
    position: int


def sample(logits: Tensor, draws: Sequence[Draw]) -> list[int | None]:
    """A token for each row of `logits` [rows, vocabulary], or None where it is not a distribution (NaN, infinite)."""
    peaks = logits.amax(dim=-1)
    tokens: list[int | None] = [None] * len(draws)
    usable = [row for row, finite in enumerate(torch.isfinite(peaks).tolist()) if finite]
    greedy = [row for row in usable if draws[row].temperature == 0]
    drawing = [row for row in usable if draws[row].temperature > 0]
    for row, token in zip(greedy, logits[greedy].argmax(dim=-1).tolist(), strict=True):
        tokens[row] = token
    if drawing:
        drawn = _draw(logits[drawing], peaks[drawing], [draws[row] for row in drawing])
        for row, token in zip(drawing, drawn, strict=True):
            tokens[row] = token
    return tokens


def _draw(logits: Tensor, peaks: Tensor, draws: Sequence[Draw]) -> list[int]:
    # The peak is taken off first, so that a tiny temperature cannot overflow.
    scaled = (logits.float() - peaks.float()[:, None]).div_(_column(logits, [draw.temperature for draw in draws]))
    probabilities = torch.softmax(scaled, dim=-1)
    top_ps = _column(logits, [draw.top_p for draw in draws], torch.float64)
    numbers = torch.from_numpy(uniforms([draw.seed for draw in draws], [draw.position for draw in draws]))
    numbers = numbers.to(logits.device)[:, None]
    likeliest, ids = probabilities.topk(min(LIKELIEST, probabilities.shape[-1]))
    thresholds = _thresholds(likeliest, top_ps)
    ids, order = ids.sort(dim=-1)
    drawn = ids.gather(-1, _invert(likeliest.gather(-1, order), thresholds, numbers))
    # A nucleus that ends among the likeliest is whole; others are looked for in all the vocabulary.
    wide = (thresholds <= likeliest[:, -1:]).flatten()
    if bool(wide.any()):
        some = probabilities[wide]
        thresholds = _thresholds(some.sort(dim=-1, descending=True).values, top_ps[wide])
        drawn[wide] = _invert(some, thresholds * (top_ps[wide] < 1), numbers[wide])
    tokens: list[int] = drawn.flatten().tolist()
    return tokens


def _thresholds(ranked: Tensor, top_ps: Tensor) -> Tensor:
    """The probability of the last token in each nucleus [rows, 1], from falling ones; the very last, if none ends it.

    All tokens as likely as that one belong to the nucleus, so that no tie is broken by chance.
    """
    reached = torch.searchsorted(ranked.cumsum(dim=-1, dtype=torch.float64), top_ps)
    return ranked.gather(-1, reached.clamp(max=ranked.shape[-1] - 1))


def _invert(probabilities: Tensor, thresholds: Tensor, numbers: Tensor) -> Tensor:
    """Where each number [rows, 1] falls in the cumulative distribution of those that reach the threshold."""
    kept = torch.where(probabilities >= thresholds, probabilities, 0)
    cumulative = kept.cumsum(dim=-1, dtype=torch.float64)
    total = cumulative[:, -1:].contiguous()
    # The product may round up to the whole: then the last one that is kept is meant.
    return torch.minimum(
        torch.searchsorted(cumulative, numbers * total, right=True), torch.searchsorted(cumulative, total)
    )


def _column(like: Tensor, values: Sequence[float], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=like.device)[:, None]
