"""From a folder to a model that can run."""

import logging
import time
from pathlib import Path

from services.chassis.telemetry import log
from services.inference.batch_engine import Loaded
from services.inference.cpu.architecture import Architecture, UnservedError, read_architecture
from services.inference.cpu.compiled import keep_in
from services.inference.engine import ModelUnusableError
from services.inference.json_files import read_json
from services.inference.tokenizer_files import load_tokenizer
from services.inference.worker import StepModel

logger = logging.getLogger(__name__)

_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""NVIDIA's, AMD's, and Windows' for either."""


def load(
    folder: Path,
    *,
    device: str,
    precision: str,
    threads: int,
    cache_tokens: int,
    max_context_length: int,
    kernels: Path,
) -> Loaded:
    """Loads a model and runs it once, in the thread that will run it on. Raises ModelUnusableError.

    `device` is as torch names it; `auto` is a GPU if there is one. `precision` is as the configuration has it. 0
    `threads` is one for each core. What is compiled for this machine's CPU is kept under `kernels`.
    """
    began = time.monotonic()
    device = choose(device)
    megabytes = sum(path.stat().st_size for path in folder.glob("*.safetensors")) // 1_000_000
    log(logger, logging.INFO, "loading the model", folder=folder.name, megabytes=megabytes, device=device)
    try:
        vocabulary_size, longest = _sizes(folder)
        context_length = min(longest, cache_tokens, max_context_length)
        tokenizer = load_tokenizer(folder, vocabulary_size)
        if device == "cpu" and (architecture := _architecture(folder, precision)):
            model = _load_decoder(folder, architecture, precision, threads, cache_tokens, context_length, kernels)
        else:
            model = load_with_torch(folder, device, threads, cache_tokens)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelUnusableError(f"{folder}: {type(error).__name__}: {error}") from error
    seconds = round(time.monotonic() - began, 1)
    log(logger, logging.INFO, "model loaded", device=device, context_length=context_length, seconds=seconds)
    return Loaded(model, tokenizer, context_length, tokenizer.template_tokens_per_message())


def choose(device: str) -> str:
    """What `auto` is on this machine."""
    if device != "auto":
        return device
    # torch is asked only where there is a chance: it takes seconds to import.
    if not any(Path(each).exists() for each in _GPU_DEVICES):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _architecture(folder: Path, precision: str) -> Architecture | None:
    """What the CPU's own decoder shall compute, or None where that is left to transformers."""
    try:
        return read_architecture(read_json(folder / "config.json"))
    except UnservedError as unserved:
        if precision == "int8":
            raise ModelUnusableError(f"{folder}: int8 is not served, for {unserved}.") from None
        log(logger, logging.INFO, "computing with transformers, in float32", why=str(unserved))
        return None


def _load_decoder(
    folder: Path,
    architecture: Architecture,
    precision: str,
    threads: int,
    cache_tokens: int,
    context_length: int,
    kernels: Path,
) -> StepModel:
    if not keep_in(kernels):
        log(logger, logging.INFO, "compiling for this machine's CPU, once: about half a minute")
    from services.inference.cpu.decoder import load_decoder

    decoder = load_decoder(
        folder,
        architecture,
        cache_tokens=cache_tokens,
        context_length=context_length,
        threads=threads,
        quantize=precision != "float32",
    )
    decoder.warm_up()
    return decoder


def load_with_torch(folder: Path, device: str, threads: int, cache_tokens: int) -> StepModel:
    """A model of any architecture that transformers computes by its attention interface. Raises ModelUnusableError."""
    import torch
    from transformers.utils import logging as transformers_logging

    from services.inference.language_model import load_model

    # They would write to the terminal by themselves.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if threads:
        torch.set_num_threads(threads)  # of this thread alone
    model = load_model(folder, torch.device(device), cache_tokens)
    try:
        model.warm_up()
    except ModelUnusableError as error:
        raise ModelUnusableError(f"{folder}: {error}") from error
    return model


def _sizes(folder: Path) -> tuple[int, int]:
    """The vocabulary and the longest context, in tokens. Raises ModelUnusableError."""
    path = folder / "config.json"
    config = read_json(path)
    config = config.get("text_config", config)
    match tuple(config.get(name) for name in ("vocab_size", "max_position_embeddings")):
        case (int(vocabulary), int(longest)):
            return vocabulary, longest
    from transformers import AutoConfig  # it knows what older models call them

    known = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True).get_text_config()
    try:
        return known.vocab_size, known.max_position_embeddings
    except AttributeError:
        raise ModelUnusableError(f"{path} does not tell vocab_size and max_position_embeddings.") from None
