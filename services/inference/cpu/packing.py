"""Matrices as tiles read them, in int8 or float32."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numba import njit

from services.inference.cpu.job import Floats, Matrices
from services.inference.cpu.tiles import OUTPUTS, UNROLL

_INT8, _INT16, _INT32 = 127, 2**15 - 1, 2**31 - 1
_TINY = np.finfo(np.float32).tiny

PAIR = 2
"""Inputs that a tile of int8 takes at once."""


def padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def activation_limit(inputs: int) -> int:
    """The largest activation with which a sum over so many int8 weights cannot leave 32 bits."""
    return min(_INT16, _INT32 // (_INT8 * inputs))


def pack(matrices: Iterable[Floats], layers: int, *, quantize: bool) -> Matrices:
    """Packs one matrix [outputs, inputs] of each layer. Weights are quantized by output, symmetrically."""
    weights = scales = None
    inputs = 0
    for layer, matrix in enumerate(matrices):
        outputs, inputs = matrix.shape
        if weights is None or scales is None:
            width = PAIR if quantize else 1
            steps, panels = padded(inputs, UNROLL * width) // width, padded(outputs, OUTPUTS) // OUTPUTS
            weights = np.zeros((layers, panels, steps, OUTPUTS * width), np.int8 if quantize else np.float32)
            scales = np.zeros((layers, panels * OUTPUTS), np.float32)
        if quantize:
            _quantize(matrix, weights[layer], scales[layer])
        else:
            _lay(matrix, weights[layer])
    assert weights is not None
    assert scales is not None
    return Matrices(weights, scales, np.float32(activation_limit(inputs) if quantize else 1))


@njit(nogil=True, cache=True, error_model="numpy")
def _quantize(matrix: Any, weights: Any, scales: Any) -> None:
    outputs, inputs = matrix.shape
    for output in range(outputs):
        panel, place = output // OUTPUTS, output % OUTPUTS * PAIR
        largest = np.float32(0)
        for each in range(inputs):
            largest = max(largest, abs(matrix[output, each]))
        scales[output] = largest / np.float32(_INT8)
        factor = np.float32(_INT8) / max(largest, _TINY)
        for each in range(inputs):
            weights[panel, each // PAIR, place + each % PAIR] = np.int8(np.rint(matrix[output, each] * factor))


@njit(nogil=True, cache=True, error_model="numpy")
def _lay(matrix: Any, weights: Any) -> None:
    outputs, inputs = matrix.shape
    for output in range(outputs):
        panel, place = output // OUTPUTS, output % OUTPUTS
        for each in range(inputs):
            weights[panel, each, place] = matrix[output, each]
