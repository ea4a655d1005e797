"""Sampling: what it draws, and that it depends on nothing but its row and its place."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from services.inference.device_sampler import LIKELIEST, sample_on_device
from services.inference.draw import Draw, Drawn, TokenMask
from services.inference.philox import uniforms
from services.inference.sampler import sample as sample_anywhere

Sample = Callable[[Tensor, Sequence[Draw]], list[Drawn | None]]

seeds = st.integers(0, 2**31 - 1)
rows = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=40)
draws = st.builds(Draw, st.floats(0.01, 2), st.floats(0.01, 1), seeds, st.integers(0, 10_000))


pytestmark = pytest.mark.parametrize("sample", [sample_anywhere, sample_on_device])


def drawn(sample: Sample, logits: Tensor, draws: Sequence[Draw]) -> list[int | None]:
    return [each.token if each else None for each in sample(logits, draws)]


def draw_many(sample: Sample, logits: Tensor, count: int, temperature: float = 1, top_p: float = 1) -> list[int]:
    asked = [Draw(temperature, top_p, seed=11, position=place) for place in range(count)]
    return [token for token in drawn(sample, logits.expand(count, -1), asked) if token is not None]


def mask_of(size: int, allowed: Collection[int]) -> TokenMask:
    bits = np.array([token in allowed for token in range(-(-size // 32) * 32)])
    return np.packbits(bits, bitorder="little").view(np.uint32)


def test_tokens_come_as_often_as_they_are_likely(sample: Sample) -> None:
    wanted = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    counts = np.bincount(draw_many(sample, wanted.log(), 20_000), minlength=5)
    for probability, count in zip(wanted.tolist(), counts.tolist(), strict=True):
        deviation = math.sqrt(20_000 * probability * (1 - probability))
        assert abs(count - 20_000 * probability) <= 5 * deviation


def test_temperature_sharpens_and_flattens(sample: Sample) -> None:
    logits = torch.tensor([2.0, 1.0, 0.0])
    shares = [
        draw_many(sample, logits, 2000, temperature=temperature).count(0) / 2000 for temperature in (0.25, 1.0, 2.0)
    ]
    assert shares[0] > 0.95
    assert shares == sorted(shares, reverse=True)


def test_top_p_keeps_the_smallest_set_that_reaches_it(sample: Sample) -> None:
    logits = torch.tensor([0.05, 0.5, 0.15, 0.3]).log()
    assert set(draw_many(sample, logits, 500, top_p=0.5)) == {1}
    assert set(draw_many(sample, logits, 500, top_p=0.51)) == {1, 3}
    assert set(draw_many(sample, logits, 500, top_p=0.81)) == {1, 2, 3}
    assert set(draw_many(sample, logits, 500, top_p=1)) == {0, 1, 2, 3}


def test_a_nucleus_may_be_wider_than_the_likeliest_tokens(sample: Sample) -> None:
    logits = torch.zeros(8 * LIKELIEST)
    assert len(set(draw_many(sample, logits + torch.linspace(0, 1e-3, 8 * LIKELIEST), 5000, top_p=0.9))) > 4 * LIKELIEST


@given(rows, seeds)
def test_greedy_is_the_likeliest_whatever_the_seed(sample: Sample, row: list[float], seed: int) -> None:
    (token,) = drawn(sample, torch.tensor([row]), [Draw(0, 0.5, seed, 3)])
    assert token is not None
    assert row[token] == max(row)


@given(rows, st.lists(st.tuples(rows, draws), max_size=4), draws)
def test_neighbours_in_the_batch_change_nothing(
    sample: Sample, row: list[float], others: list[tuple[list[float], Draw]], draw: Draw
) -> None:
    (alone,) = drawn(sample, torch.tensor([row]), [draw])
    padded = [(other + [-30.0] * len(row))[: len(row)] for other, _ in others]
    *_, together = drawn(sample, torch.tensor([*padded, row]), [*(each for _, each in others), draw])
    assert together == alone


@given(rows, draws)
def test_what_is_drawn_is_in_the_nucleus(sample: Sample, row: list[float], draw: Draw) -> None:
    (token,) = drawn(sample, torch.tensor([row]), [draw])
    assert token is not None
    probabilities = torch.softmax(torch.tensor(row, dtype=torch.float64) / draw.temperature, 0)
    likelier = probabilities[probabilities > probabilities[token] * (1 + 1e-4)].sum()
    assert likelier < draw.top_p + 1e-4


@pytest.mark.parametrize("temperature", [0, 1e-30, 1.0])
def test_what_is_no_distribution_draws_nothing_and_leaves_the_others(sample: Sample, temperature: float) -> None:
    good = [0.0, 9.0, 1.0]
    bad = [[math.nan, 1, 2], [math.inf, 1, 2], [-math.inf] * 3]
    tokens = drawn(sample, torch.tensor([good, *bad, good]), [Draw(temperature, 0.5, 1, 0)] * 5)
    assert tokens == [1, None, None, None, 1]


def test_rows_that_torch_does_not_hold_draw_the_same(sample: Sample) -> None:
    logits = torch.randn((3, 500), generator=torch.Generator().manual_seed(1))
    asked = [Draw(0.8, 0.9, 1, place, top_logprobs=2) for place in range(3)]
    assert sample_anywhere(logits.numpy(), asked) == sample_anywhere(logits, asked)
    assert sample(logits[:0], []) == []


def test_the_smallest_temperature_is_greedy(sample: Sample) -> None:
    assert set(draw_many(sample, torch.tensor([5.0, 5.1, -3.0]), 100, temperature=1e-38)) == {1}


@given(rows, draws, st.data())
def test_only_what_is_allowed_is_drawn_and_that_as_if_there_were_no_more(
    sample: Sample, row: list[float], draw: Draw, data: st.DataObject
) -> None:
    allowed = sorted(data.draw(st.sets(st.integers(0, len(row) - 1), min_size=1)))
    masked = replace(draw, mask=mask_of(len(row), allowed))
    (token,) = drawn(sample, torch.tensor([row]), [masked])
    (place,) = drawn(sample, torch.tensor([[row[token] for token in allowed]]), [draw])
    assert place is not None
    assert token == allowed[place]
    # Its neighbour, who has no mask, draws what it would have drawn.
    assert drawn(sample, torch.tensor([row, row]), [masked, draw])[1:] == drawn(sample, torch.tensor([row]), [draw])


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_where_nothing_can_be_drawn_nothing_is(sample: Sample, temperature: float) -> None:
    logits = torch.tensor([[0.0, -math.inf, 1.0]] * 2)
    forbidding = [Draw(temperature, 0.5, 1, 0, mask_of(3, [1])), Draw(temperature, 1, 1, 0, mask_of(3, []))]
    assert drawn(sample, logits, forbidding) == [None, None]


def test_what_is_forbidden_is_not_drawn_by_the_smallest_number_either(sample: Sample) -> None:
    logits = torch.tensor([-math.inf, 1.0, -math.inf]).expand(2000, -1)
    asked = [Draw(2, 1, 11, place, mask_of(3, [0, 1])) for place in range(2000)]
    assert set(drawn(sample, logits, asked)) == {1}


@given(rows, draws, st.integers(0, 20))
def test_logprobs_are_those_of_the_model(sample: Sample, row: list[float], draw: Draw, count: int) -> None:
    asked = replace(draw, top_logprobs=count, mask=mask_of(len(row), [0]))
    told, silent = sample(torch.tensor([row, row]), [asked, draw])
    assert silent is not None
    assert silent.logprobs is None
    assert told is not None
    assert told.logprobs is not None
    expected = torch.log_softmax(torch.tensor(row, dtype=torch.float64), 0).tolist()
    assert told.logprobs.token == told.token == 0
    assert told.logprobs.logprob == pytest.approx(expected[0], abs=1e-5)
    ranked = sorted(range(len(row)), key=lambda token: (-row[token], token))[:count]
    assert [token for token, _ in told.logprobs.top] == ranked
    assert [logprob for _, logprob in told.logprobs.top] == pytest.approx([expected[i] for i in ranked], abs=1e-5)


@given(st.integers(0, 2**31 - 1), st.floats(0.3, 2), st.floats(0.05, 1), st.floats(0.5, 8))
@settings(max_examples=40)
def test_it_draws_what_the_definition_says(
    sample: Sample, seed: int, temperature: float, top_p: float, spread: float
) -> None:
    logits = torch.randn((4, 2000), generator=torch.Generator().manual_seed(seed)) * spread
    asked = [Draw(temperature, top_p, seed, place) for place in range(4)]
    expected = [inverted(row, draw) for row, draw in zip(logits.double().numpy(), asked, strict=True)]
    assert drawn(sample, logits, asked) == expected


def inverted(row: NDArray[np.float64], draw: Draw) -> int:
    """The definition, word for word and slowly."""
    weights = np.exp((row - row.max()) / draw.temperature)
    ranked = np.sort(weights)[::-1]
    last = min(int(np.searchsorted(np.cumsum(ranked), draw.top_p * ranked.sum())), row.size - 1)
    cumulative = np.cumsum(np.where(weights >= ranked[last], weights, 0))
    return int(np.searchsorted(cumulative, uniforms(draw.seed, draw.position) * cumulative[-1], side="right"))
