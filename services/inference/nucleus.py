"""Drawing from one row of logits as fast as one core can: a pass of exponentials, and a search among what is left.

Nothing here looks at another row, so that what is drawn is a function of the row bit for bit, whoever shares its batch.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.inference.cpu.arithmetic import sum_of
from services.inference.philox import fraction, philox

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
Words = NDArray[np.uint32]

_LOWEST = np.float32(-87.0)
"""e to the power of this is about the smallest normal number."""
_NEVER = np.float32(1.7e-38)
"""What weighs less, against 1 of the likeliest, is not drawn: neither what a mask forbids nor what is as unlikely."""
_ROUNDER = np.float32(1.5 * 2**23)
"""What has it added and taken off again is rounded to a whole number, and the compiler needs no call for it."""
_SUMMED = 4096
"""Weights that are summed in float32, before their sum goes into one of float64."""
_DIGITS = 1024
"""The search for a threshold reads weights, which order as their bits do, as digits of so many values."""
_SHIFTS = (20, 10, 0)
_LOW, _WORD = np.uint64(0xFFFFFFFF), np.uint64(32)


@njit("void(float32[::1], uint32[::1], float32[::1])", nogil=True, cache=True)
def mask_row(row: Floats, mask: Words, masked: Floats) -> None:
    """Copies a row, with -infinity wherever the mask's bit is 0: bit t % 32 of word t // 32 is token t's."""
    for i in range(row.size):
        allowed = (mask[i >> 5] >> np.uint32(i & 31)) & np.uint32(1)
        masked[i] = row[i] if allowed else -np.inf


@njit("void(float32[::1], float32, float32, float32[::1], int32[::1])", nogil=True, cache=True, error_model="numpy")
def _weigh(row: Floats, peak: np.float32, temperature: np.float32, weights: Floats, powers: Integers) -> None:
    """Writes e^((row - peak) / temperature).

    By Cephes' expf (S. L. Moshier, Methods and Programs for Mathematical Functions, 1989), without a branch, so that
    the compiler computes many at once.
    """
    for i in range(row.size):
        # The peak is taken off first, so that a tiny temperature cannot overflow.
        x = max((row[i] - peak) / temperature, _LOWEST)
        power = (x * np.float32(1.44269504088896341) + _ROUNDER) - _ROUNDER
        x = x - power * np.float32(0.693359375) + power * np.float32(2.12194440e-4)
        y = np.float32(1.9875691500e-4) * x + np.float32(1.3981999507e-3)
        y = y * x + np.float32(8.3334519073e-3)
        y = y * x + np.float32(4.1665795894e-2)
        y = y * x + np.float32(1.6666665459e-1)
        y = y * x + np.float32(5.0000001201e-1)
        weights[i] = y * x * x + x + np.float32(1.0)
        powers[i] = np.int32(power)
    bits = weights.view(np.int32)
    for i in range(row.size):
        bits[i] += powers[i] << np.int32(23)


@njit("float64(float32[::1])", nogil=True, cache=True)
def _sum_all(weights: Floats) -> float:
    total = 0.0
    for begin in range(0, weights.size, _SUMMED):
        total += float(sum_of(weights[begin : begin + _SUMMED]))
    return total


@njit("int64(float32[::1], float32, int32[::1])", nogil=True, cache=True)
def _select(weights: Floats, least: np.float32, places: Integers) -> int:
    """Writes the places of all weights from `least` on, and returns how many these are."""
    count = 0
    for i in range(weights.size):
        places[count] = i
        count += weights[i] >= least
    return count


@njit("Tuple((float32, float64))(float32[::1], float64)", nogil=True, cache=True)
def _threshold(weights: Floats, wanted: float) -> tuple[np.float32, float]:
    """The largest weight that, with all that are as heavy or heavier, reaches `wanted`; and what these weigh.

    The smallest one, if that is never reached. All tokens as likely as the last one belong to the nucleus, so that no
    tie is broken by chance.
    """
    bits = weights.view(np.int32)
    prefix, above = 0, 0.0
    masses, lightest = np.empty(_DIGITS), 0
    for shift in _SHIFTS:
        masses[:] = 0
        lightest = _DIGITS
        for i in range(bits.size):
            if bits[i] >> (shift + 10) == prefix:
                digit = (bits[i] >> shift) & (_DIGITS - 1)
                masses[digit] += weights[i]
                lightest = min(lightest, digit)
        digit = _DIGITS - 1
        while digit > lightest and (masses[digit] == 0 or above + masses[digit] < wanted):
            above += masses[digit]
            digit -= 1
        prefix = (prefix << 10) | digit
    found = np.empty(1, np.int32)
    found[0] = prefix
    return found.view(np.float32)[0], above + masses[prefix & (_DIGITS - 1)]


@njit("int64(float32[::1], float32, float64)", nogil=True, cache=True)
def _invert(weights: Floats, threshold: np.float32, reached: float) -> int:
    """Where `reached` falls in the cumulative sum of the weights from the threshold on; their last place, if beyond."""
    cumulative, last = 0.0, 0
    for i in range(weights.size):
        if weights[i] >= threshold:
            cumulative += weights[i]
            last = i
            if cumulative > reached:
                break
    return last


_philox, _fraction = njit(nogil=True)(philox), njit(nogil=True)(fraction)


@njit("float64(int64, int64)", nogil=True, cache=True)
def uniform(seed: int, position: int) -> float:
    """One of `philox.uniforms`, by the same code without an array for each of its sums."""
    zero, key = np.uint64(0), np.uint64(seed)
    high, low, _, _ = _philox((np.uint64(position) & _LOW, zero, zero, zero), (key & _LOW, key >> _WORD))
    number: float = _fraction(high, low)
    return number


@njit("int64(float32[::1], float32, float32, float64, float64, float32[::1], int32[::1])", nogil=True, cache=True)
def draw(
    row: Floats,
    peak: np.float32,
    temperature: np.float32,
    top_p: float,
    number: float,
    weights: Floats,
    places: Integers,
) -> int:
    """The token that `number`, in [0, 1), draws from a row whose maximum is `peak`; the last two are its scratch."""
    _weigh(row, peak, temperature, weights, places)
    total = _sum_all(weights)
    if top_p >= 1:
        place: int = _invert(weights, _NEVER, number * total)
        return place
    # All that are left out weigh less than what may be missing from the nucleus, so that it ends before them.
    count = _select(weights, np.float32((1 - top_p) * total / row.size), places)
    for i in range(count):
        weights[i] = weights[places[i]]
    kept = weights[:count]
    threshold, mass = _threshold(kept, top_p * total)
    token: int = places[_invert(kept, threshold, number * mass)]
    return token


@njit("float64(float32[::1])", nogil=True, cache=True)
def log_sum(row: Floats) -> float:
    """The logarithm of the sum of e^row, whose maximum is finite."""
    weights, places = np.empty(row.size, np.float32), np.empty(row.size, np.int32)
    peak = row.max()
    _weigh(row, peak, np.float32(1), weights, places)
    return float(peak + np.log(_sum_all(weights)))
