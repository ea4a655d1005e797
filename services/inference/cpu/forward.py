"""A step of the model: what every thread of a team runs, each computing the parts that it takes.

Phases follow one another behind a barrier: rows are normalized, multiplied, rotated, attend, and so on, layer by layer.
Who computes which part changes nothing of it.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from services.inference.blocks import BLOCK_TOKENS
from services.inference.cpu.arithmetic import gate, lay, normalize, rotate
from services.inference.cpu.attention import attend
from services.inference.cpu.instructions import fetch, fetch_add, sleep_microseconds, yield_thread
from services.inference.cpu.job import ARRIVED, ROWS, STEP, WANTED
from services.inference.cpu.tiles import OUTPUTS, make_tile

PHASES = 10
"""Of a layer."""
SPINS = 2000
"""Looks at a barrier before the core is offered to others: some 20 microseconds."""
NAP_MICROSECONDS = 40
NAPS = 2500
"""Naps without a step, about a tenth of a second in all, before `serve` returns."""

_store_two, _store_one = make_tile(2, add=False), make_tile(1, add=False)
_add_two, _add_one = make_tile(2, add=True), make_tile(1, add=True)


class _Crew(NamedTuple):
    """What a thread knows of the others."""

    control: NDArray[np.int64]
    tickets: NDArray[np.int64]
    thread: int
    threads: int


@njit(nogil=True, error_model="numpy")
def _wait_for_all(crew: Any) -> None:
    arrived = fetch_add(crew.control, ARRIVED, 1)
    due = (arrived // crew.threads + 1) * crew.threads
    spins = 0
    while fetch(crew.control, ARRIVED) < due:
        spins += 1
        if spins > SPINS:
            yield_thread()


@njit(nogil=True, error_model="numpy")
def _multiply(
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
    _wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def _embed(crew: Any, phase: int, embedding: Any, tokens: Any, hidden: Any, rows: int) -> None:
    while True:
        row = fetch_add(crew.tickets, phase, 1)
        if row >= rows:
            break
        hidden[row, : embedding.shape[1]] = embedding[tokens[row]]
    _wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def _normalize(
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
    _wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def _rotate(
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
    _wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def _attend(
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
    _wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def _lay(crew: Any, phase: int, source: Any, limit: Any, inputs: Any, row_scales: Any, rows: int) -> None:
    while True:
        row = fetch_add(crew.tickets, phase, 1)
        if row >= rows:
            break
        lay(source[row], inputs[row], row_scales, row, limit)
    _wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def _gate(crew: Any, phase: int, gated: Any, size: int, limit: Any, inputs: Any, row_scales: Any, rows: int) -> None:
    values = np.empty(size, np.float32)
    while True:
        row = fetch_add(crew.tickets, phase, 1)
        if row >= rows:
            break
        gate(gated[row], values)
        lay(values, inputs[row], row_scales, row, limit)
    _wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def _pick(crew: Any, phase: int, hidden: Any, wanted: Any, picked: Any, rows: int) -> None:
    """The lines of the residual stream whose logits are wanted."""
    while True:
        row = fetch_add(crew.tickets, phase, 1)
        if row >= rows:
            break
        picked[row] = hidden[wanted[row]]
    _wait_for_all(crew)


@njit(nogil=True, error_model="numpy")
def _compute(job: Any, thread: int, threads: int) -> None:
    """One thread's part of a step; returns once all have done theirs."""
    crew = _Crew(job.control, job.tickets, thread, threads)
    weights, epsilon, heads, size = job.weights, job.epsilon, job.heads, job.intermediate
    qkv, output, gate_up, down, head = (
        weights.query_key_value,
        weights.output,
        weights.gate_up,
        weights.down,
        weights.head,
    )
    rows, wanted = fetch(job.control, ROWS), fetch(job.control, WANTED)
    hidden, scales = job.hidden, job.row_scales
    _embed(crew, 0, weights.embedding, job.tokens, hidden, rows)
    phase = 1
    for layer in range(weights.windows.shape[0]):
        keys, values, projected = job.keys[layer], job.values[layer], job.projected
        norm, window = weights.attention_norm[layer], weights.windows[layer]
        _normalize(crew, phase, hidden, norm, epsilon, qkv.limit, job.narrow, scales, rows)
        _multiply(crew, phase + 1, qkv.weights[layer], qkv.scales[layer], job.narrow, scales, projected, rows, False)
        _rotate(
            crew,
            phase + 2,
            projected,
            job.positions,
            weights.query_key_value_bias[layer],
            weights.query_norm[layer],
            weights.key_norm[layer],
            epsilon,
            weights.cosines,
            weights.sines,
            heads,
            keys,
            values,
            job.tables,
            job.blocks,
            rows,
        )
        _attend(
            crew,
            phase + 3,
            projected,
            job.positions,
            keys,
            values,
            job.tables,
            job.blocks,
            window,
            job.scale,
            job.scores[thread],
            job.mixed,
            rows,
        )
        _lay(crew, phase + 4, job.mixed, output.limit, job.attended, scales, rows)
        _multiply(
            crew, phase + 5, output.weights[layer], output.scales[layer], job.attended, scales, hidden, rows, True
        )
        norm = weights.mlp_norm[layer]
        _normalize(crew, phase + 6, hidden, norm, epsilon, gate_up.limit, job.narrow, scales, rows)
        _multiply(
            crew, phase + 7, gate_up.weights[layer], gate_up.scales[layer], job.narrow, scales, job.gated, rows, False
        )
        _gate(crew, phase + 8, job.gated, size, down.limit, job.wide, scales, rows)
        _multiply(crew, phase + 9, down.weights[layer], down.scales[layer], job.wide, scales, hidden, rows, True)
        phase += PHASES
    _pick(crew, phase, hidden, job.wanted, job.picked, wanted)
    norm = weights.final_norm
    _normalize(crew, phase + 1, job.picked, norm, epsilon, head.limit, job.narrow, scales, wanted)
    _multiply(crew, phase + 2, head.weights[0], head.scales[0], job.narrow, scales, job.logits, wanted, False)


@njit(nogil=True, cache=True, error_model="numpy")
def publish(control: Any) -> int:
    """Lets all threads see a new step, and all that was written into the job before. Returns the step before it."""
    before: int = fetch_add(control, STEP, 1)
    return before


@njit(nogil=True, cache=True, error_model="numpy")
def serve(job: Any, thread: int, threads: int, seen: int, last: int) -> int:
    """Computes this thread's part of each step after `seen` up to `last`; returns the last one, also if none comes.

    The one way in: a second one would be compiled by itself, and might round otherwise.
    """
    naps = spins = 0
    while naps < NAPS and seen < last:
        if fetch(job.control, STEP) > seen:
            seen += 1
            _compute(job, thread, threads)
            naps = spins = 0
        elif spins < SPINS:
            spins += 1
        else:
            sleep_microseconds(np.int64(NAP_MICROSECONDS))
            naps += 1
    return seen
