"""What a step reads and writes: arrays that are made once, for every thread of a team."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

STEP, ARRIVED, ROWS, WANTED, CONTROLS = range(5)
"""Places in `Job.control`: the step's number, arrivals at barriers, tokens, and tokens whose logits are wanted."""


class Matrices(NamedTuple):
    """The same matrix of every layer, packed for tiles."""

    weights: NDArray[Any]
    """[layers, panels, steps, tile]"""
    scales: Floats
    """[layers, panels * OUTPUTS]"""
    limit: np.float32
    """What the largest activation of a row becomes."""


class Weights(NamedTuple):
    embedding: Floats
    """[vocabulary, hidden]"""
    attention_norm: Floats
    """[layers, hidden]"""
    query_norm: Floats
    """[layers, head size], or [layers, 0] where there is none; so for the next."""
    key_norm: Floats
    mlp_norm: Floats
    """[layers, hidden]"""
    final_norm: Floats
    """[hidden]"""
    query_key_value: Matrices
    query_key_value_bias: Floats
    """[layers, outputs], or [layers, 0] where there is none."""
    output: Matrices
    gate_up: Matrices
    down: Matrices
    head: Matrices
    """Of one layer."""
    cosines: Floats
    """[positions, head size / 2]; so for the next."""
    sines: Floats
    windows: NDArray[np.int64]
    """[layers]: how far back a token sees; 0 is as far as there is."""


class Job(NamedTuple):
    weights: Weights
    heads: int
    intermediate: int
    """Its size."""
    epsilon: np.float32
    """Of the normalizations."""
    scale: np.float32
    """Of the products of queries and keys."""
    keys: Floats
    """[layers, blocks, key heads, head size, BLOCK_TOKENS]"""
    values: Floats
    """[layers, blocks, key heads, head size / OUTPUTS rounded up, BLOCK_TOKENS, OUTPUTS]"""
    control: NDArray[np.int64]
    tickets: NDArray[np.int64]
    """How much of each phase is taken; zero before a step."""
    tokens: Ints
    """[rows]; so for the next two."""
    positions: Ints
    tables: Ints
    """Which line of `blocks` is a row's."""
    wanted: Ints
    """The rows whose logits are wanted."""
    blocks: Ints
    """[generations, blocks]"""
    hidden: Floats
    """[rows, hidden and what fills the last panel], as the residual stream."""
    picked: Floats
    """[wanted, as `hidden`]"""
    narrow: NDArray[Any]
    """[rows, inputs]: a product's inputs of the hidden size; the next of all heads, and of the intermediate size."""
    attended: NDArray[Any]
    wide: NDArray[Any]
    row_scales: Floats
    """[rows], of the inputs that were laid last."""
    projected: Floats
    """[rows, queries then keys then values]"""
    mixed: Floats
    """[rows, heads * head size]"""
    gated: Floats
    """[rows, gates then values]"""
    scores: Floats
    """[threads, positions of whole blocks]"""
    logits: Floats
    """[wanted, vocabulary and what fills the last panel]"""
