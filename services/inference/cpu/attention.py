"""Attention of one token over the blocks of its generation.

Keys lie by parts, [part, token], and values by tokens, [token, part]: so the scores of a block's tokens, and a block's
share of the output, are each a sum of lines of memory times numbers.
"""

from typing import Any

import numpy as np
from numba import njit

from services.inference.blocks import BLOCK_TOKENS
from services.inference.cpu.arithmetic import exponential, sum_of
from services.inference.cpu.tiles import OUTPUTS, weigh

assert BLOCK_TOKENS == OUTPUTS, "a block's scores are one tile"

_ZERO = np.float32(0)


@njit(nogil=True, error_model="numpy")
def _normalize(scores: Any, scale: Any, first: int, last: int) -> None:
    """Softmax of the scores from `first` to `last`, times the scale. Those before `first` become 0."""
    seen = scores[first : last + 1]
    largest = seen.max()  # a NaN, if there is one
    for place in range(seen.shape[0]):
        seen[place] = exponential((seen[place] - largest) * scale)
    total = sum_of(seen)
    for place in range(seen.shape[0]):
        seen[place] /= total
    scores[:first] = _ZERO


@njit(nogil=True, error_model="numpy")
def attend(
    query: Any,
    keys: Any,
    values: Any,
    table: Any,
    head: int,
    first: int,
    position: int,
    scale: Any,
    scores: Any,
    output: Any,
) -> None:
    """Grouped-query attention (J. Ainslie et al., EMNLP 2023) of a token's queries that share a head of keys.

    It sees the positions from `first` to its own. query [group, size], keys [blocks, heads, size, BLOCK_TOKENS], values
    [blocks, heads, size / OUTPUTS rounded up, BLOCK_TOKENS, OUTPUTS], table [blocks] of the generation, scores
    [positions of whole blocks] to work in, output [group, size rounded up to OUTPUTS]. `scale` is positive.
    """
    size, panels = keys.shape[2], values.shape[2]
    begin, end = first // BLOCK_TOKENS, position // BLOCK_TOKENS + 1
    for member in range(query.shape[0]):
        for block in range(begin, end):
            place = (table[block] * keys.shape[1] + head) * size
            weigh(keys, place, query[member], scores[(block - begin) * BLOCK_TOKENS :], size, False)
        offset = begin * BLOCK_TOKENS
        _normalize(scores, scale, first - offset, position - offset)
        for panel in range(panels):
            part = output[member, panel * OUTPUTS :]
            part[:OUTPUTS] = _ZERO
            for block in range(begin, end):
                place = ((table[block] * values.shape[1] + head) * panels + panel) * BLOCK_TOKENS
                tokens = min(BLOCK_TOKENS, position + 1 - block * BLOCK_TOKENS)
                weigh(values, place, scores[(block - begin) * BLOCK_TOKENS :], part, tokens, True)
