"""From a folder to a model that can run. It brings torch, which takes seconds to import."""

import logging
import time
from pathlib import Path

import torch
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from services.chassis.telemetry import log
from services.inference.batch_engine import Loaded
from services.inference.engine import ModelUnusableError
from services.inference.language_model import load_model
from services.inference.model_tokenizer import ModelTokenizer

logger = logging.getLogger(__name__)


def load(folder: Path, *, device: str, threads: int, cache_tokens: int, max_context_length: int) -> Loaded:
    """Loads a model and runs it once, in the thread that will run it on. Raises ModelUnusableError.

    `device` is as torch names it; `auto` is a GPU if there is one. 0 `threads` leaves it to torch: one for each core.
    """
    began = time.monotonic()
    # They would write to the terminal by themselves.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if threads:
        torch.set_num_threads(threads)  # of this thread alone
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(folder, torch.device(device), cache_tokens)
    try:
        model.warm_up()
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True).get_text_config()
        tokenizer = _load_tokenizer(folder, config.vocab_size)
    except (OSError, ValueError, ModelUnusableError) as error:
        raise ModelUnusableError(f"{folder}: {error}") from error
    context_length = min(config.max_position_embeddings, cache_tokens, max_context_length)
    seconds = round(time.monotonic() - began, 1)
    log(logger, logging.INFO, "model loaded", device=device, context_length=context_length, seconds=seconds)
    return Loaded(model, tokenizer, context_length, tokenizer.template_tokens_per_message())


def _load_tokenizer(folder: Path, vocabulary_size: int) -> ModelTokenizer:
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelUnusableError(f"{folder}: its tokenizer has no tokenizer.json.")
    return ModelTokenizer(tokenizer, _end_ids(folder, tokenizer.eos_token_id), vocabulary_size)


def _end_ids(folder: Path, end_of_sequence: int | None) -> set[int]:
    """The tokenizer's end token, and those that generation is configured to end at."""
    path = folder / "generation_config.json"
    named = GenerationConfig.from_pretrained(folder).eos_token_id if path.exists() else None
    ids = named if isinstance(named, list) else [named]
    return {token for token in (*ids, end_of_sequence) if token is not None}
