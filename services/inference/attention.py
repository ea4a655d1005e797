"""Attention of a packed step: each generation attends to the blocks of its own table, and to nothing beside them.

Rows are computed one by one on purpose: what a reply attends to, and how, does not depend on who shares its batch, and
a long conversation does not slow short ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from services.inference.blocks import BLOCK_TOKENS
from services.inference.engine import ModelUnusableError
from services.inference.key_value_cache import KeyValueCache, Layer

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
    blocks: Sequence[int]
    """Its block table."""

    def places(self, device: torch.device) -> Tensor:
        """Where in the cache its tokens are, the step's own included [position + count]."""
        starts = torch.tensor(self.blocks, device=device)[:, None] * BLOCK_TOKENS
        places = (starts + torch.arange(BLOCK_TOKENS, device=device)).flatten()
        return places[: self.position + self.count]


@dataclass(slots=True)
class Batch:
    """The rows of a step, one after another, and what its layers need to know of them."""

    cache: KeyValueCache
    rows: list[Row]
    device: torch.device
    _places: list[Tensor] = field(init=False)
    """Of each row."""
    _written: Tensor = field(init=False)
    _masks: dict[tuple[int, int, int | None], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places = [row.places(self.device) for row in self.rows]
        written = [places[row.position :] for places, row in zip(self._places, self.rows, strict=True)]
        self._written = torch.cat(written)

    def positions(self) -> Tensor:
        return torch.cat([torch.arange(row.position, row.position + row.count) for row in self.rows]).to(self.device)

    def write(self, layer: int, keys: Tensor, values: Tensor) -> Layer:
        """Stores keys and values [heads, tokens, size of a head] of the step."""
        return self.cache.write(layer, self._written, keys, values)

    def seen(self, layer: Layer, row: int, first: int) -> tuple[Tensor, Tensor]:
        """A row's keys and values from token `first` on, both [1, heads, tokens, size of a head]."""
        return layer.read(self._places[row][first:])

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
    layer = batch.write(index, key[0], value[0])
    outputs = [
        _attend_row(batch, place, layer, query, key.shape[1], scaling, sliding_window)
        for place in range(len(batch.rows))
    ]
    return torch.cat(outputs)[None], None


def _attend_row(
    batch: Batch, place: int, layer: Layer, query: Tensor, heads: int, scaling: float | None, window: int | None
) -> Tensor:
    """One row's output [tokens, heads, size]. Queries of the heads that share a key are laid one after another."""
    row, groups = batch.rows[place], query.shape[1] // heads
    queries = query[:, :, row.begin : row.begin + row.count].reshape(1, heads, groups * row.count, -1)
    keys, values = batch.seen(layer, place, _first_seen(row, window))
    mask = batch.mask(row, groups, window) if row.count > 1 else None
    output = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scaling)
    return output.reshape(heads * groups, row.count, -1).transpose(0, 1)


def _first_seen(row: Row, window: int | None) -> int:
    return max(0, row.position + 1 - window) if window else 0


def register() -> None:
    """Makes `attend` known to transformers, under NAME."""
    AttentionInterface.register(NAME, attend)
