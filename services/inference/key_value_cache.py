"""The keys and values of everything that runs: one static space for each layer, in blocks that tables name."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class Layer:
    keys: Tensor
    values: Tensor
    """Both [capacity, heads, size of a head]."""

    def read(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Copies of the keys and values at these places, both [1, heads, places, size of a head]."""
        keys, values = self.keys.index_select(0, places), self.values.index_select(0, places)
        return keys.transpose(0, 1)[None], values.transpose(0, 1)[None]


@dataclass(slots=True)
class KeyValueCache:
    """Layers come to be when they are first written, in the shape that the model gives them."""

    capacity: int
    """In tokens."""
    layers: dict[int, Layer] = field(default_factory=dict)

    def write(self, index: int, places: Tensor, keys: Tensor, values: Tensor) -> Layer:
        """Stores keys and values [heads, tokens, size of a head] at the places [tokens] of a layer."""
        layer = self.layers.get(index)
        if layer is None:
            layer = self.layers[index] = Layer(self._space(keys), self._space(values))
        layer.keys.index_copy_(0, places, keys.transpose(0, 1))
        layer.values.index_copy_(0, places, values.transpose(0, 1))
        return layer

    def _space(self, like: Tensor) -> Tensor:
        # Left as it comes, so that memory is taken only as far as it is used: nothing unwritten is ever read.
        heads, _, size = like.shape
        return torch.empty(self.capacity, heads, size, dtype=like.dtype, device=like.device)
