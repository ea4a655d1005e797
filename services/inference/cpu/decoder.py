"""A `StepModel` on the CPU: steps of int8 or float32 products over blocks of keys and values."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from services.inference.blocks import BLOCK_TOKENS
from services.inference.cpu.architecture import Architecture
from services.inference.cpu.checkpoint import Checkpoint, read_weights
from services.inference.cpu.cores import cores
from services.inference.cpu.forward import PHASES
from services.inference.cpu.job import CONTROLS, ROWS, WANTED, Floats, Job, Weights
from services.inference.cpu.packing import PAIR, padded
from services.inference.cpu.team import Team
from services.inference.cpu.tiles import OUTPUTS, UNROLL
from services.inference.draw import Drawn
from services.inference.generation import Generation
from services.inference.sampler import sample
from services.inference.scheduler import Chunk

PASS_ROWS = 256
"""Tokens that go through the layers together; a step with more takes several passes, and brings the same."""

SHARED_ROWS = 4
"""Rows to draw from that are worth another thread: half a millisecond."""


class Decoder:
    """Belongs to the thread that calls it."""

    def __init__(self, architecture: Architecture, weights: Weights, cache_tokens: int, threads: int = 0) -> None:
        """0 `threads` is one for each core that this process may keep busy."""
        threads = threads or cores()
        self._vocabulary = len(weights.embedding)
        self._job = make_job(architecture, weights, cache_tokens, threads)
        self._team = Team(self._job, threads)
        self._threads = threads
        self._samplers = ThreadPoolExecutor(threads, thread_name_prefix="sample")

    @property
    def cache(self) -> tuple[Floats, Floats]:
        """Keys and values, each [layers, blocks, ...]."""
        return self._job.keys, self._job.values

    def step(self, chunks: Sequence[Chunk]) -> list[Drawn | None]:
        logits = self.forward(chunks)
        draws = [chunk.generation.draw() for chunk in chunks if chunk.completes]
        share = max(SHARED_ROWS, -(-len(draws) // self._threads))
        if len(draws) <= share:
            return sample(logits, draws)

        def sample_from(begin: int) -> list[Drawn | None]:
            return sample(logits[begin : begin + share], draws[begin : begin + share])

        shares = self._samplers.map(sample_from, range(0, len(draws), share))
        return [drawn for each in shares for drawn in each]

    def forward(self, chunks: Sequence[Chunk]) -> Floats:
        """Fills the cache, and returns the logits [rows, vocabulary] behind the chunks that complete."""
        logits, rows = [], _Rows(self._job)
        for chunk in chunks:
            for position in range(chunk.start, chunk.start + chunk.count):
                if rows.full:
                    logits.append(self._compute(rows))
                rows.add(chunk.generation, position, wanted=position == chunk.generation.length - 1)
        logits.append(self._compute(rows))
        return np.concatenate(logits)

    def warm_up(self) -> None:
        """Computes a token of nobody's, so that everything is compiled and at hand."""
        self._job.blocks[0, 0] = 0
        self._job.tokens[0] = self._job.positions[0] = self._job.tables[0] = self._job.wanted[0] = 0
        self._job.control[[ROWS, WANTED]] = 1
        self._team.step()

    def _compute(self, rows: "_Rows") -> Floats:
        wanted = rows.hand_over()
        self._team.step()
        return self._job.logits[:wanted, : self._vocabulary].copy()


class _Rows:
    """The tokens of a pass, as they are laid into the job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._tables: dict[Generation, int] = {}
        self._count = self._wanted = 0

    @property
    def full(self) -> bool:
        return self._count == PASS_ROWS

    def add(self, generation: Generation, position: int, *, wanted: bool) -> None:
        job, row = self._job, self._count
        if generation not in self._tables:
            self._tables[generation] = table = len(self._tables)
            job.blocks[table, : len(generation.blocks)] = generation.blocks
        job.tokens[row] = generation.tokens(position, position + 1)[0]
        job.positions[row], job.tables[row] = position, self._tables[generation]
        if wanted:
            job.wanted[self._wanted] = row
            self._wanted += 1
        self._count += 1

    def hand_over(self) -> int:
        """Tells the job how much there is, and begins anew. Returns how many logits are wanted."""
        wanted = self._wanted
        self._job.control[[ROWS, WANTED]] = self._count, wanted
        self._tables.clear()
        self._count = self._wanted = 0
        return wanted


def make_job(architecture: Architecture, weights: Weights, cache_tokens: int, threads: int) -> Job:
    quantized = weights.down.weights.dtype == np.int8
    inputs_kind, multiple = (np.int16, UNROLL * PAIR) if quantized else (np.float32, UNROLL)
    context, size = len(weights.cosines), architecture.head_size
    heads, key_heads = architecture.heads, architecture.key_heads

    def rows(width: int) -> np.ndarray:
        return np.zeros((PASS_ROWS, padded(width, OUTPUTS)), np.float32)

    def inputs(width: int) -> np.ndarray:
        return np.zeros((PASS_ROWS, padded(width, multiple)), inputs_kind)

    def counted(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.int32)

    blocks = padded(context, BLOCK_TOKENS) // BLOCK_TOKENS
    # Left as it comes, so that memory is taken only as far as it is used: what was not written counts for nothing.
    cache = (architecture.layers, padded(cache_tokens, BLOCK_TOKENS) // BLOCK_TOKENS, key_heads)
    return Job(
        weights=weights,
        heads=heads,
        intermediate=architecture.intermediate,
        epsilon=np.float32(architecture.epsilon),
        scale=np.float32(size**-0.5),
        keys=np.empty((*cache, size, BLOCK_TOKENS), np.float32),
        values=np.empty((*cache, padded(size, OUTPUTS) // OUTPUTS, BLOCK_TOKENS, OUTPUTS), np.float32),
        control=np.zeros(CONTROLS, np.int64),
        tickets=np.zeros(architecture.layers * PHASES + 4, np.int64),
        tokens=counted(PASS_ROWS),
        positions=counted(PASS_ROWS),
        tables=counted(PASS_ROWS),
        wanted=counted(PASS_ROWS),
        blocks=counted(PASS_ROWS, blocks),
        hidden=rows(architecture.hidden),
        picked=rows(architecture.hidden),
        narrow=inputs(architecture.hidden),
        attended=inputs(heads * size),
        wide=inputs(architecture.intermediate),
        row_scales=np.zeros(PASS_ROWS, np.float32),
        projected=rows((heads + 2 * key_heads) * size),
        mixed=np.zeros((PASS_ROWS, heads * size), np.float32),
        gated=rows(2 * architecture.intermediate),
        scores=np.zeros((threads, blocks * BLOCK_TOKENS), np.float32),
        logits=np.empty((PASS_ROWS, weights.head.scales.shape[1]), np.float32),
    )


def load_decoder(
    folder: Path,
    architecture: Architecture,
    *,
    cache_tokens: int,
    context_length: int,
    threads: int = 0,
    quantize: bool = True,
) -> Decoder:
    """Loads a model from safetensors. Raises ModelUnusableError."""
    weights = read_weights(Checkpoint(folder), architecture, context_length, quantize=quantize)
    return Decoder(architecture, weights, cache_tokens, threads)
