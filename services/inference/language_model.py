"""A model of transformers, run step by step over packed rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from services.inference import attention
from services.inference.attention import Batch, Row
from services.inference.draw import Drawn
from services.inference.engine import ModelUnusableError
from services.inference.key_value_cache import KeyValueCache
from services.inference.sampler import sample
from services.inference.scheduler import Chunk


class LanguageModel:
    """A `StepModel`. Belongs to the thread that made it."""

    def __init__(self, model: PreTrainedModel, cache_tokens: int) -> None:
        self._model = model
        self._cache = KeyValueCache(cache_tokens)
        self._device = model.device

    def step(self, chunks: Sequence[Chunk]) -> list[Drawn | None]:
        return sample(self.forward(chunks), [chunk.generation.draw() for chunk in chunks if chunk.completes])

    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Fills the cache, and returns the logits [rows, vocabulary] behind the chunks that complete."""
        rows, begin = [], 0
        for chunk in chunks:
            rows.append(Row(begin, chunk.count, chunk.start, chunk.generation.blocks))
            begin += chunk.count
        tokens = [
            token for chunk in chunks for token in chunk.generation.tokens(chunk.start, chunk.start + chunk.count)
        ]
        last = [row.begin + row.count - 1 for row, chunk in zip(rows, chunks, strict=True) if chunk.completes]
        return self._forward(tokens, rows, last)

    def warm_up(self) -> None:
        """Runs once, so that the first generation finds everything allocated. Raises ModelUnusableError."""
        self._forward([0, 0], [Row(0, 2, 0, [0])], [1])
        if len(self._cache.layers) != self._model.config.get_text_config().num_hidden_layers:
            raise ModelUnusableError("Some of its layers do not use attention, or one that this engine does not know.")

    @torch.inference_mode()
    def _forward(self, tokens: list[int], rows: list[Row], last: list[int]) -> Tensor:
        batch = Batch(self._cache, rows, self._device)
        output = self._model(
            input_ids=torch.tensor([tokens], device=self._device),
            position_ids=batch.positions()[None],
            use_cache=False,
            logits_to_keep=torch.tensor(last, dtype=torch.long, device=self._device),
            batch=batch,
        )
        logits: Tensor = output.logits[0]
        return logits


def load_model(folder: Path, device: torch.device, cache_tokens: int) -> LanguageModel:
    """Loads safetensors from a folder. Raises ModelUnusableError if that cannot be."""
    attention.register()
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32 if device.type == "cpu" else torch.bfloat16,
            device_map={"": device},
            attn_implementation=attention.NAME,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        raise ModelUnusableError(f"{folder}: {error}") from error
    model, loading = cast("tuple[PreTrainedModel, dict[str, set[str]]]", loaded)
    # They would be left random.
    if missing := sorted(loading["missing_keys"]):
        raise ModelUnusableError(f"{folder}: its weights lack {', '.join(missing[:3])}, {len(missing)} in all.")
    model.train(mode=False)
    return LanguageModel(model, cache_tokens)
