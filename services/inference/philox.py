"""Random numbers by counter: a number is a function of (seed, position), so nothing needs to be remembered.

Philox4x32-10 of J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC'11, https://doi.org/10.1145/2063384.2063405.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)
_WORD = np.uint64(32)

Words = NDArray[np.uint64]
"""32-bit words, each in 64 bits so that their products fit."""


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words]) -> tuple[Words, Words, Words, Words]:
    """Four random words for each counter, under a key."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(_ROUNDS):
        left, right = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (right >> _WORD) ^ c1 ^ k0, right & _LOW, (left >> _WORD) ^ c3 ^ k1, left & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def uniforms(seeds: ArrayLike, positions: ArrayLike) -> NDArray[np.float64]:
    """A number in [0, 1) with 53 random bits for each pair of a seed (63 bits) and a position (32 bits)."""
    seed, position = np.broadcast_arrays(np.asarray(seeds, np.uint64), np.asarray(positions, np.uint64))
    zero = np.zeros_like(position)
    high, low, _, _ = philox((position & _LOW, zero, zero, zero), (seed & _LOW, seed >> _WORD))
    return fraction(high, low)


def fraction(high: Words, low: Words) -> NDArray[np.float64]:
    """A number in [0, 1) of two words: 27 bits of one, and 26 of the other."""
    return ((high >> np.uint64(5)) * 67108864.0 + (low >> np.uint64(6))) / 9007199254740992.0
