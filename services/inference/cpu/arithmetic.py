"""What happens to one token's numbers between the products. Each function takes and gives rows of one token.

Compilers may not change the order of a sum here (no `fastmath`), nor round two operations as one: the same row gives
the same bits wherever and however often this is compiled. Sums that shall be fast are written as sums of some lanes.
"""

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from services.inference.cpu.instructions import float_of_bits

_MAGNITUDE = np.int32(0x7FFFFFFF)
_LANES = 16
"""Of a sum: so many numbers are added side by side."""
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_LOG2_E = np.float32(math.log2(math.e))
_SMALLEST_EXPONENT, _BIAS, _MANTISSA = np.float32(-126), np.float32(127), np.float32(2**23)
# Taylor's series of 2 ** x for x in [0, 1), to the precision of a float32.
_P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7 = (np.float32(math.log(2) ** n / math.factorial(n)) for n in range(8))


@njit(nogil=True, error_model="numpy")
def exponential(value: Any) -> Any:
    """e to a power of at most 0, in float32; 0 where that would be below the normal ones, NaN for NaN."""
    power = value * _LOG2_E
    kept = max(_SMALLEST_EXPONENT, power)
    whole = np.floor(kept)
    rest = kept - whole
    series = _P0 + rest * (_P1 + rest * (_P2 + rest * (_P3 + rest * (_P4 + rest * (_P5 + rest * (_P6 + rest * _P7))))))
    result = series * float_of_bits(np.int32((whole + _BIAS) * _MANTISSA))
    if power >= _SMALLEST_EXPONENT:
        return result
    return _ZERO if power < _SMALLEST_EXPONENT else power


@njit(nogil=True, error_model="numpy")
def largest_of(row: Any) -> Any:
    """The largest magnitude of a row; NaN if there is one."""
    # Magnitudes order as their bits do, and NaN's are above all others.
    bits, largest = row.view(np.int32), np.int32(0)
    for place in range(row.shape[0]):
        largest = max(largest, bits[place] & _MAGNITUDE)
    return float_of_bits(largest)


@njit(nogil=True, error_model="numpy")
def sum_of(row: Any) -> Any:
    """The sum of a row, of lanes first."""
    lanes = np.zeros(_LANES, np.float32)
    whole = row.shape[0] - row.shape[0] % _LANES
    for begin in range(0, whole, _LANES):
        for lane in range(_LANES):
            lanes[lane] += row[begin + lane]
    total = _ZERO
    for place in range(whole, row.shape[0]):
        total += row[place]
    for lane in range(_LANES):
        total += lanes[lane]
    return total


@njit(nogil=True, error_model="numpy")
def normalize(source: Any, weight: Any, epsilon: Any, target: Any) -> None:
    """Root mean square normalization: B. Zhang and R. Sennrich, NeurIPS 2019. `source` may be `target`."""
    lanes = np.zeros(_LANES, np.float32)
    whole = source.shape[0] - source.shape[0] % _LANES
    for begin in range(0, whole, _LANES):
        for lane in range(_LANES):
            lanes[lane] += source[begin + lane] * source[begin + lane]
    for place in range(whole, source.shape[0]):
        lanes[place - whole] += source[place] * source[place]
    scale = _ONE / np.sqrt(sum_of(lanes) / np.float32(source.shape[0]) + epsilon)
    for place in range(source.shape[0]):
        target[place] = source[place] * scale * weight[place]


@njit(nogil=True, error_model="numpy")
def gate(gates_and_values: Any, target: Any) -> None:
    """SwiGLU (N. Shazeer, 2020): silu(gate) * value, of a row with the gates before the values. It stays as it is."""
    size = target.shape[0]
    for place in range(size):
        each = gates_and_values[place]
        falling = exponential(-abs(each))
        silu = each / (_ONE + falling)
        target[place] = (silu if each >= _ZERO else silu * falling) * gates_and_values[size + place]


@njit(nogil=True, error_model="numpy")
def rotate(head: Any, cosines: Any, sines: Any) -> None:
    """Rotary position (J. Su et al., 2021) of a head, whose halves are the two parts of each number."""
    half = cosines.shape[0]
    for place in range(half):
        left, right = head[place], head[half + place]
        head[place] = left * cosines[place] - right * sines[place]
        head[half + place] = right * cosines[place] + left * sines[place]


def lay(source: Any, target: Any, scales: Any, row: Any, limit: Any) -> None:
    """Makes a row of float32 the input of a product, `target`: int16 with its scale, or float32 as it is.

    The row's largest number becomes `limit`, so that no sum of the product leaves 32 bits.
    """
    raise NotImplementedError


@overload(lay, jit_options={"nogil": True, "error_model": "numpy"})
def _lay(source: Any, target: Any, scales: Any, row: Any, limit: Any) -> Any:
    def quantized(source: Any, target: Any, scales: Any, row: Any, limit: Any) -> None:
        largest = largest_of(source)
        scales[row] = largest / limit
        factor = limit / largest if largest > _ZERO else _ZERO
        for place in range(source.shape[0]):
            scaled = source[place] * factor
            target[place] = np.int16(np.int32(scaled + (_HALF if scaled >= _ZERO else -_HALF)))

    def copied(source: Any, target: Any, scales: Any, row: Any, limit: Any) -> None:
        target[: source.shape[0]] = source

    return quantized if target.dtype == types.int16 else copied
