"""Attention of a packed step: each generation attends to its own share of the cache, and to nothing beside it.

Rows are computed one by one on purpose: what a reply attends to, and how, does not depend on who shares its batch, a
long conversation does not slow short ones, and no cached key is copied.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from services.inference.engine import ModelUnusableError
from services.inference.key_value_cache import KeyValueCache, Layer, Share

NAME = "parley"
"""The implementation's name among those of transformers."""

_UNSERVED = ("softcap", "s_aux", "position_bias")
"""Variants of attention that come as an argument, and would be wrong if it were dropped."""


@dataclass(frozen=True, slots=True)
class Row:
    """A generation's tokens in a step."""

    begin: int
    """Place of the first one in the step."""
    count: int
    position: int
    """Place of the first one in the generation."""
    share: Share


@dataclass(slots=True)
class Batch:
    """The rows of a step, one after another, and what its layers need to know of them."""

    cache: KeyValueCache
    rows: list[Row]
    device: torch.device
    _places: dict[int, Tensor] = field(default_factory=dict)
    _masks: dict[tuple[int, int, int | None], Tensor] = field(default_factory=dict)

    def positions(self) -> Tensor:
        return torch.cat([torch.arange(row.position, row.position + row.count) for row in self.rows]).to(self.device)

    def places(self, heads: int) -> Tensor:
        """The cache's row for each token and head of the step."""
        if heads not in self._places:
            head = torch.arange(heads)
            rows = [
                (row.share.start * heads + torch.arange(row.position, row.position + row.count))[:, None]
                + head * row.share.size
                for row in self.rows
            ]
            self._places[heads] = torch.cat(rows).flatten().to(self.device)
        return self._places[heads]

    def mask(self, row: Row, groups: int, window: int | None) -> Tensor:
        """Which keys each query of a prefill sees [groups * tokens, keys], the same for every group of heads."""
        key = (row.begin, groups, window)
        if key not in self._masks:
            first = _first_seen(row, window)
            query = torch.arange(row.position, row.position + row.count)[:, None]
            keys = torch.arange(first, row.position + row.count)
            seen = keys <= query
            if window:
                seen &= keys > query - window
            self._masks[key] = seen.repeat(groups, 1).to(self.device)
        return self._masks[key]


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 - part of the interface; rows bring their own
    scaling: float | None = None,
    sliding_window: int | None = None,
    batch: Batch | None = None,
    **variants: object,
) -> tuple[Tensor, None]:
    """An attention function of transformers: [1, heads, tokens, size] comes, [1, tokens, heads, size] leaves."""
    if unserved := [name for name in _UNSERVED if variants.get(name) is not None]:
        raise ModelUnusableError(f"Its attention needs {' and '.join(unserved)}, which this engine does not compute.")
    if batch is None:
        raise ModelUnusableError("Its layers do not hand on what attention needs to know.")
    index = module.layer_idx
    assert isinstance(index, int)
    layer = batch.cache.write(index, batch.places(key.shape[1]), key[0], value[0])
    outputs = [_attend_row(batch, row, layer, query, key.shape[1], scaling, sliding_window) for row in batch.rows]
    return torch.cat(outputs)[None], None


def _attend_row(
    batch: Batch, row: Row, layer: Layer, query: Tensor, heads: int, scaling: float | None, window: int | None
) -> Tensor:
    """One row's output [tokens, heads, size]. Queries of the heads that share a key are laid one after another."""
    groups = query.shape[1] // heads
    first, last = _first_seen(row, window), row.position + row.count
    queries = query[:, :, row.begin : row.begin + row.count].reshape(1, heads, groups * row.count, -1)
    output = scaled_dot_product_attention(
        queries,
        row.share.view(layer.keys, heads, first, last),
        row.share.view(layer.values, heads, first, last),
        attn_mask=batch.mask(row, groups, window) if row.count > 1 else None,
        scale=scaling,
    )
    return output.reshape(heads * groups, row.count, -1).transpose(0, 1)


def _first_seen(row: Row, window: int | None) -> int:
    return max(0, row.position + 1 - window) if window else 0


def register() -> None:
    """Makes `attend` known to transformers, under NAME."""
    AttentionInterface.register(NAME, attend)
