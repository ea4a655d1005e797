"""The phases of a step: rows or panels of it are taken by whichever thread comes, and all wait for the last."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.inference.blocks import BLOCK_TOKENS
from services.inference.cpu.arithmetic import gate, lay, normalize, rotate
from services.inference.cpu.attention import attend
from services.inference.cpu.instructions import fetch, fetch_add, yield_thread
from services.inference.cpu.job import ARRIVED
from services.inference.cpu.tiles import OUTPUTS, make_tile

SPINS = 2000
"""Looks at a barrier before the core is offered to others: some 20 microseconds."""

_store_two, _store_one = make_tile(2, add=False), make_tile(1, add=False)
_add_two, _add_one = make_tile(2, add=True), make_tile(1, add=True)


class Crew(NamedTuple):
    """What a thread knows of the others."""

    control: NDArray[np.int64]
    tickets: NDArray[np.int64]
    thread: int
    threads: int


@njit(nogil=True, error_model="numpy")
def wait_for_all(crew: Any) -> None:
    arrived = fetch_add(crew.control, ARRIVED, 1)
    due = (arrived // crew.threads + 1) * crew.threads
    spins = 0
    while fetch(crew.control, ARRIVED) < due:
        spins += 1
        if spins > SPINS:
            yield_thread()


@njit(nogil=True, error_model="numpy")
def multiply(
    crew: Any, phase: int, weights: Any, scales: Any, inputs: Any, row_scales: Any, outputs: Any, rows: int, add: bool
) -> None:
    """Products of rows with a matrix: stored, or added to what is there."""
    panels = weights.shape[0]
    share = max(1, panels // (crew.threads * 4))
    while True:
        begin = fetch_add(crew.tickets, phase, share)
        if begin >= panels:
            break
        for panel in range(begin, min(begin + share, panels)):
            for row in range(0, rows - 1, 2):
                if add:
                    _add_two(weights, scales, inputs, row_scales, outputs, panel, row)
                else:
                    _store_two(weights, scales, inputs, row_scales, outputs, panel, row)
            if rows % 2:
                if add:
                    _add_one(weights, scales, inputs, row_scales, outputs, panel, rows - 1)
                else:
                    _store_one(weights, scales, inputs, row_scales, outputs, panel, rows - 1)
    wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def gather_rows(crew: Any, phase: int, source: Any, lines: Any, target: Any, rows: int) -> None:
    """Copies lines of `source`, one for each row of `target`."""
    while True:
        row = fetch_add(crew.tickets, phase, 1)
        if row >= rows:
            break
        target[row, : source.shape[1]] = source[lines[row]]
    wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def normalize_rows(
    crew: Any, phase: int, hidden: Any, norm: Any, epsilon: Any, limit: Any, inputs: Any, row_scales: Any, rows: int
) -> None:
    """Makes rows of the residual stream the inputs of a product."""
    normal = np.empty(norm.shape[0], np.float32)
    while True:
        row = fetch_add(crew.tickets, phase, 1)
        if row >= rows:
            break
        normalize(hidden[row, : norm.shape[0]], norm, epsilon, normal)
        lay(normal, inputs[row], row_scales, row, limit)
    wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def rotate_rows(
    crew: Any,
    phase: int,
    projected: Any,
    positions: Any,
    bias: Any,
    query_norm: Any,
    key_norm: Any,
    epsilon: Any,
    cosines: Any,
    sines: Any,
    heads: int,
    keys: Any,
    values: Any,
    tables: Any,
    blocks: Any,
    rows: int,
) -> None:
    """Rotates rows' queries and keys, and writes keys and values into the cache, laid as `attend` reads them."""
    key_heads, size = keys.shape[1], keys.shape[2]
    while True:
        row = fetch_add(crew.tickets, phase, 1)
        if row >= rows:
            break
        line, position = projected[row], positions[row]
        for output in range(bias.shape[0]):
            line[output] += bias[output]
        for head in range(heads + key_heads):
            part = line[head * size : (head + 1) * size]
            norm = query_norm if head < heads else key_norm
            if norm.shape[0]:
                normalize(part, norm, epsilon, part)
            rotate(part, cosines[position], sines[position])
        block, token = blocks[tables[row], position // BLOCK_TOKENS], position % BLOCK_TOKENS
        for head in range(key_heads):
            key, value = (heads + head) * size, (heads + key_heads + head) * size
            for part_place in range(size):
                keys[block, head, part_place, token] = line[key + part_place]
                values[block, head, part_place // OUTPUTS, token, part_place % OUTPUTS] = line[value + part_place]
    wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def attend_rows(
    crew: Any,
    phase: int,
    projected: Any,
    positions: Any,
    keys: Any,
    values: Any,
    tables: Any,
    blocks: Any,
    window: int,
    scale: Any,
    scores: Any,
    mixed: Any,
    rows: int,
) -> None:
    """mixed [rows, heads * head size] of projected."""
    key_heads, size = keys.shape[1], keys.shape[2]
    group = mixed.shape[1] // (key_heads * size)
    output = np.empty((group, values.shape[2] * OUTPUTS), np.float32)
    while True:
        item = fetch_add(crew.tickets, phase, 1)
        if item >= rows * key_heads:
            break
        row, head = item // key_heads, item % key_heads
        position, begin = positions[row], head * group * size
        query = projected[row, begin : begin + group * size].reshape(group, size)
        first = max(0, position + 1 - window) if window else 0
        attend(query, keys, values, blocks[tables[row]], head, first, position, scale, scores, output)
        for member in range(group):
            mixed[row, begin + member * size : begin + (member + 1) * size] = output[member, :size]
    wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def lay_rows(crew: Any, phase: int, source: Any, limit: Any, inputs: Any, row_scales: Any, rows: int) -> None:
    while True:
        row = fetch_add(crew.tickets, phase, 1)
        if row >= rows:
            break
        lay(source[row], inputs[row], row_scales, row, limit)
    wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def gate_rows(
    crew: Any, phase: int, gated: Any, size: int, limit: Any, inputs: Any, row_scales: Any, rows: int
) -> None:
    values = np.empty(size, np.float32)
    while True:
        row = fetch_add(crew.tickets, phase, 1)
        if row >= rows:
            break
        gate(gated[row], values)
        lay(values, inputs[row], row_scales, row, limit)
    wait_for_all(crew)
