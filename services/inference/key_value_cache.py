"""The keys and values of everything that runs: one static space for each layer, lent in contiguous shares."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class Layer:
    keys: Tensor
    values: Tensor
    """Both [capacity * heads, size of a head]. A share holds its first head's tokens, then its second's, and so on."""


@dataclass(frozen=True, slots=True)
class Share:
    """Where a generation's tokens are."""

    start: int
    """In tokens."""
    size: int

    def view(self, space: Tensor, heads: int, first: int, last: int) -> Tensor:
        """Tokens `first` to before `last` [1, heads, tokens, size of a head], without a copy."""
        rows = space[self.start * heads : (self.start + self.size) * heads]
        return rows.view(1, heads, self.size, -1)[:, :, first:last]


@dataclass(slots=True)
class KeyValueCache:
    """Layers come to be when they are first written, in the shape that the model gives them."""

    capacity: int
    """In tokens."""
    layers: dict[int, Layer] = field(default_factory=dict)

    def write(self, index: int, rows: Tensor, keys: Tensor, values: Tensor) -> Layer:
        """Stores keys and values [heads, tokens, size of a head] at the rows [tokens * heads] of a layer."""
        layer = self.layers.get(index)
        if layer is None:
            layer = self.layers[index] = Layer(self._space(keys), self._space(values))
        layer.keys.index_copy_(0, rows, keys.transpose(0, 1).reshape(-1, keys.shape[-1]))
        layer.values.index_copy_(0, rows, values.transpose(0, 1).reshape(-1, values.shape[-1]))
        return layer

    def _space(self, like: Tensor) -> Tensor:
        # Left as it comes, so that memory is taken only as far as it is used: nothing unwritten is ever read.
        return torch.empty(self.capacity * like.shape[0], like.shape[-1], dtype=like.dtype, device=like.device)
