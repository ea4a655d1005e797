"""The generator against the test vectors that its authors published, and its numbers as a whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.nucleus import uniform
from services.inference.philox import philox, uniforms

PUBLISHED = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
"""kat_vectors of Random123: counter, key, words."""


@pytest.mark.parametrize(("counter", "key", "words"), PUBLISHED)
def test_it_is_philox(counter: tuple[int, ...], key: tuple[int, ...], words: tuple[int, ...]) -> None:
    c0, c1, c2, c3 = (np.array([word], np.uint64) for word in counter)
    k0, k1 = (np.array([word], np.uint64) for word in key)
    assert tuple(int(word[0]) for word in philox((c0, c1, c2, c3), (k0, k1))) == words


def test_numbers_are_uniform_and_do_not_repeat() -> None:
    numbers = uniforms(42, np.arange(100_000))
    assert 0 <= numbers.min() < 1e-3 < 0.999 < numbers.max() < 1
    assert len(np.unique(numbers)) == 100_000
    counts, _ = np.histogram(numbers, bins=50, range=(0, 1))
    assert ((counts - 2000) ** 2 / 2000).sum() < 100  # chi-squared with 49 degrees of freedom: one in 30,000
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(numbers, uniforms(43, np.arange(100_000)))[0, 1]) < 0.02


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31)), min_size=1, max_size=20))
def test_a_number_depends_on_its_seed_and_position_alone(pairs: list[tuple[int, int]]) -> None:
    together = uniforms([seed for seed, _ in pairs], [position for _, position in pairs])
    assert together.tolist() == [float(uniforms(seed, position)) for seed, position in pairs]
    assert together.tolist() == [uniform(seed, position) for seed, position in pairs]
