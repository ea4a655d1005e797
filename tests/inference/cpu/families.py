"""Small models with random weights, one for each kind that the decoder computes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from tests.inference.tiny import make_tokenizer

_SHAPE: dict[str, Any] = {
    "hidden_size": 72,
    "intermediate_size": 136,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

FAMILIES: dict[str, tuple[Callable[..., PreTrainedConfig], dict[str, Any]]] = {
    "llama": (LlamaConfig, {}),
    "llama, tied": (LlamaConfig, {"tie_word_embeddings": True}),
    "llama, one head of keys for each": (LlamaConfig, {"num_key_value_heads": 6}),
    "llama 3.1": (LlamaConfig, {"rope_parameters": _LLAMA3}),
    "llama, stretched": (
        LlamaConfig,
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}},
    ),
    "mistral": (MistralConfig, {"sliding_window": 40, "head_dim": 24}),
    "qwen2": (Qwen2Config, {}),
    "qwen2, with windows": (
        Qwen2Config,
        {"use_sliding_window": True, "sliding_window": 40, "max_window_layers": 1},
    ),
    "qwen3": (Qwen3Config, {"head_dim": 40}),
}


def make_family(name: str, folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Writes a model and its tokenizer, and returns it as transformers computes it."""
    tokenizer = make_tokenizer()
    kind, chosen = FAMILIES[name]
    torch.manual_seed(3)
    config = kind(vocab_size=len(tokenizer), **{**_SHAPE, **chosen})
    model = AutoModelForCausalLM.from_config(config).to(dtype)  # type: ignore[no-untyped-call]
    for parameter_name, parameter in model.named_parameters():
        # They come as zeros and ones, which would hide a wrong one.
        if "norm" in parameter_name or "bias" in parameter_name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    written: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return written
