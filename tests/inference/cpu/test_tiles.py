"""The innermost loops, against numpy's exact integers and its doubles."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from services.inference.cpu.packing import activation_limit, pack, padded
from services.inference.cpu.tiles import OUTPUTS, UNROLL, make_tile, weigh

_store_two, _add_one = make_tile(2, add=False), make_tile(1, add=True)


@njit
def _multiply(weights: Any, scales: Any, inputs: Any, row_scales: Any, outputs: Any) -> None:
    for panel in range(weights.shape[0]):
        _store_two(weights, scales, inputs, row_scales, outputs, panel, 0)
        _add_one(weights, scales, inputs, row_scales, outputs, panel, 2)


@njit
def _weigh(lines: Any, place: int, weights: Any, outputs: Any, steps: int) -> None:
    weigh(lines, place, weights, outputs, steps, True)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 100), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_sums_of_integers_are_exact(outputs: int, inputs: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.standard_normal((outputs, inputs), np.float32)
    packed = pack([matrix], 1, quantize=True)
    limit = activation_limit(inputs)
    rows = np.zeros((3, padded(inputs, 2 * UNROLL)), np.int16)
    rows[:, :inputs] = random.integers(-limit, limit, (3, inputs), endpoint=True)
    row_scales = random.random(3, np.float32)
    got = np.zeros((3, padded(outputs, OUTPUTS)), np.float32)
    got[2] = 1
    _multiply(packed.weights[0], packed.scales[0], rows, row_scales, got)
    scales = np.abs(matrix).max(axis=1) / np.float32(127)
    quantized = np.rint(matrix * (np.float32(127) / np.abs(matrix).max(axis=1))[:, None]).astype(np.int64)
    sums = rows[:, :inputs].astype(np.int64) @ quantized.T
    assert np.abs(sums).max() < 2**31
    expected = sums.astype(np.float32) * scales * row_scales[:, None]
    expected[2] += 1
    assert np.array_equal(got[:, :outputs], expected)


@pytest.mark.parametrize("inputs", [1, 576, 14_336, 53_248])
def test_the_largest_sum_fits(inputs: int) -> None:
    """All weights and all activations at their largest, with one sign."""
    steps = padded(inputs, 2 * UNROLL)
    limit = activation_limit(inputs)
    packed = pack([np.ones((OUTPUTS, inputs), np.float32)], 1, quantize=True)
    rows = np.full((3, steps), limit, np.int16)
    got = np.zeros((3, OUTPUTS), np.float32)
    ones = np.ones(OUTPUTS, np.float32)
    _multiply(packed.weights[0], ones, rows, np.ones(3, np.float32), got)
    assert set(got[:2].flatten()) == {np.float32(127 * limit * inputs)}
    assert limit >= 300


def test_weights_that_are_not_quantized() -> None:
    random = np.random.default_rng(1)
    matrix = random.standard_normal((70, 45), np.float32)
    packed = pack([matrix], 1, quantize=False)
    rows = np.zeros((3, padded(45, UNROLL)), np.float32)
    rows[:, :45] = random.standard_normal((3, 45), np.float32)
    got = np.zeros((3, padded(70, OUTPUTS)), np.float32)
    _multiply(packed.weights[0], packed.scales[0], rows, np.ones(3, np.float32), got)
    assert got[:, :70] == pytest.approx(rows[:, :45].astype(np.float64) @ matrix.T.astype(np.float64), abs=1e-4)


def test_lines_behind_the_last_step_are_not_looked_at() -> None:
    lines = np.full((4, OUTPUTS), np.nan, np.float32)
    lines[1:3] = [[2], [3]]
    got = np.ones(OUTPUTS, np.float32)
    _weigh(lines, 1, np.array([10, 100, np.nan], np.float32), got, 2)
    assert set(got) == {np.float32(321)}


def test_a_matrix_of_zeros_is_one() -> None:
    packed = pack([np.zeros((3, 5), np.float32)], 1, quantize=True)
    assert not packed.weights.any()
    assert not packed.scales.any()
