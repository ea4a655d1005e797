"""A step of the model: what every thread of a team runs, each computing the parts that it takes.

Phases follow one another behind a barrier: rows are normalized, multiplied, rotated, attend, and so on, layer by layer.
Who computes which part changes nothing of it.
"""

from typing import Any

import numpy as np
from numba import njit

from services.inference.cpu.instructions import fetch, fetch_add, sleep_microseconds
from services.inference.cpu.job import ROWS, STEP, WANTED
from services.inference.cpu.phases import (
    SPINS,
    Crew,
    attend_rows,
    gate_rows,
    gather_rows,
    lay_rows,
    multiply,
    normalize_rows,
    rotate_rows,
)

PHASES = 10
"""Of a layer."""
NAP_MICROSECONDS = 40
NAPS = 2500
"""Naps without a step, about a tenth of a second in all, before `serve` returns."""


@njit(nogil=True, error_model="numpy")
def _compute(job: Any, thread: int, threads: int) -> None:
    """One thread's part of a step; returns once all have done theirs."""
    crew = Crew(job.control, job.tickets, thread, threads)
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
    gather_rows(crew, 0, weights.embedding, job.tokens, hidden, rows)
    phase = 1
    for layer in range(weights.windows.shape[0]):
        keys, values, projected = job.keys[layer], job.values[layer], job.projected
        norm, window = weights.attention_norm[layer], weights.windows[layer]
        normalize_rows(crew, phase, hidden, norm, epsilon, qkv.limit, job.narrow, scales, rows)
        multiply(crew, phase + 1, qkv.weights[layer], qkv.scales[layer], job.narrow, scales, projected, rows, False)
        rotate_rows(
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
        attend_rows(
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
        lay_rows(crew, phase + 4, job.mixed, output.limit, job.attended, scales, rows)
        multiply(crew, phase + 5, output.weights[layer], output.scales[layer], job.attended, scales, hidden, rows, True)
        norm = weights.mlp_norm[layer]
        normalize_rows(crew, phase + 6, hidden, norm, epsilon, gate_up.limit, job.narrow, scales, rows)
        multiply(
            crew, phase + 7, gate_up.weights[layer], gate_up.scales[layer], job.narrow, scales, job.gated, rows, False
        )
        gate_rows(crew, phase + 8, job.gated, size, down.limit, job.wide, scales, rows)
        multiply(crew, phase + 9, down.weights[layer], down.scales[layer], job.wide, scales, hidden, rows, True)
        phase += PHASES
    gather_rows(crew, phase, hidden, job.wanted, job.picked, wanted)
    norm = weights.final_norm
    normalize_rows(crew, phase + 1, job.picked, norm, epsilon, head.limit, job.narrow, scales, wanted)
    multiply(crew, phase + 2, head.weights[0], head.scales[0], job.narrow, scales, job.logits, wanted, False)


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
