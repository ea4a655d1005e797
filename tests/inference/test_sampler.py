"""Sampling: what it draws, and that it depends on nothing but its row and its place."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from services.inference.sampler import LIKELIEST, Draw, sample

seeds = st.integers(0, 2**31 - 1)
rows = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=40)
draws = st.builds(Draw, st.floats(0.01, 2), st.floats(0.01, 1), seeds, st.integers(0, 10_000))


def draw_many(logits: Tensor, count: int, **chosen: float) -> list[int]:
    settings = {"temperature": 1.0, "top_p": 1.0, **chosen}
    tokens = sample(logits.expand(count, -1), [Draw(**settings, seed=11, position=place) for place in range(count)])
    return [token for token in tokens if token is not None]


def test_tokens_come_as_often_as_they_are_likely() -> None:
    wanted = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    counts = np.bincount(draw_many(wanted.log(), 20_000), minlength=5)
    for probability, count in zip(wanted.tolist(), counts.tolist(), strict=True):
        deviation = math.sqrt(20_000 * probability * (1 - probability))
        assert abs(count - 20_000 * probability) <= 5 * deviation


def test_temperature_sharpens_and_flattens() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0])
    shares = [draw_many(logits, 2000, temperature=temperature).count(0) / 2000 for temperature in (0.25, 1.0, 2.0)]
    assert shares[0] > 0.95
    assert shares == sorted(shares, reverse=True)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = torch.tensor([0.05, 0.5, 0.15, 0.3]).log()
    assert set(draw_many(logits, 500, top_p=0.5)) == {1}
    assert set(draw_many(logits, 500, top_p=0.51)) == {1, 3}
    assert set(draw_many(logits, 500, top_p=0.81)) == {1, 2, 3}
    assert set(draw_many(logits, 500, top_p=1)) == {0, 1, 2, 3}


def test_a_nucleus_may_be_wider_than_the_likeliest_tokens() -> None:
    logits = torch.zeros(8 * LIKELIEST)
    assert len(set(draw_many(logits + torch.linspace(0, 1e-3, 8 * LIKELIEST), 5000, top_p=0.9))) > 4 * LIKELIEST


@given(rows, seeds)
def test_greedy_is_the_likeliest_whatever_the_seed(row: list[float], seed: int) -> None:
    (token,) = sample(torch.tensor([row]), [Draw(0, 0.5, seed, 3)])
    assert token is not None
    assert row[token] == max(row)


@given(rows, st.lists(st.tuples(rows, draws), max_size=4), draws)
def test_neighbours_in_the_batch_change_nothing(
    row: list[float], others: list[tuple[list[float], Draw]], draw: Draw
) -> None:
    (alone,) = sample(torch.tensor([row]), [draw])
    padded = [(other + [-30.0] * len(row))[: len(row)] for other, _ in others]
    *_, together = sample(torch.tensor([*padded, row]), [*(each for _, each in others), draw])
    assert together == alone


@given(rows, draws)
def test_what_is_drawn_is_in_the_nucleus(row: list[float], draw: Draw) -> None:
    (token,) = sample(torch.tensor([row]), [draw])
    assert token is not None
    probabilities = torch.softmax(torch.tensor(row, dtype=torch.float64) / draw.temperature, 0)
    likelier = probabilities[probabilities > probabilities[token] * (1 + 1e-4)].sum()
    assert likelier < draw.top_p + 1e-4


@pytest.mark.parametrize("temperature", [0, 1e-30, 1.0])
def test_what_is_no_distribution_draws_nothing_and_leaves_the_others(temperature: float) -> None:
    good = [0.0, 9.0, 1.0]
    bad = [[math.nan, 1, 2], [math.inf, 1, 2], [-math.inf] * 3]
    tokens = sample(torch.tensor([good, *bad, good]), [Draw(temperature, 0.5, 1, 0)] * 5)
    assert tokens == [1, None, None, None, 1]


def test_the_smallest_temperature_is_greedy() -> None:
    assert set(draw_many(torch.tensor([5.0, 5.1, -3.0]), 100, temperature=1e-38)) == {1}
