"""Drawing where logits are in a device's memory, all rows at once and without moving them: as `nucleus` defines it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from services.inference.draw import Draw, Drawn
from services.inference.logprobs import measure
from services.inference.philox import uniforms

LIKELIEST = 256
"""Tokens among which a nucleus is looked for before the whole vocabulary is."""


def sample_on_device(logits: Tensor, draws: Sequence[Draw]) -> list[Drawn | None]:
    """A token for each row of `logits` [rows, vocabulary], or None where it is not a distribution (NaN, infinite)."""
    finite = torch.isfinite(logits.amax(dim=-1))
    allowed = _masked(logits, draws)
    peaks = allowed.amax(dim=-1)
    usable = [row for row, usable in enumerate((finite & torch.isfinite(peaks)).tolist()) if usable]
    greedy = [row for row in usable if not np.float32(draws[row].temperature)]
    drawing = [row for row in usable if np.float32(draws[row].temperature)]
    tokens = dict(zip(greedy, allowed[greedy].argmax(dim=-1).tolist(), strict=True))
    if drawing:
        drawn = _draw(allowed[drawing], peaks[drawing], [draws[row] for row in drawing])
        tokens |= dict(zip(drawing, drawn, strict=True))
    return [_drawn(logits[row], draw, tokens[row]) if row in tokens else None for row, draw in enumerate(draws)]


def _drawn(logits: Tensor, draw: Draw, token: int) -> Drawn:
    if draw.top_logprobs is None:
        return Drawn(token)
    return Drawn(token, measure(logits.float().cpu().numpy(), token, draw.top_logprobs))


def _masked(logits: Tensor, draws: Sequence[Draw]) -> Tensor:
    """The logits, or a copy with -infinity for what is not allowed."""
    masks = {row: draw.mask for row, draw in enumerate(draws) if draw.mask is not None}
    if not masks:
        return logits
    bits = np.stack([np.unpackbits(mask.view(np.uint8), bitorder="little") for mask in masks.values()])
    forbidden = torch.from_numpy(bits[:, : logits.shape[1]] == 0).to(logits.device)
    masked = logits.clone()
    masked[list(masks)] = masked[list(masks)].masked_fill(forbidden, -torch.inf)
    return masked


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
