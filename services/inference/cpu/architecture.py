"""What a model's config.json says of its shape, for the family that this decoder computes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""As configurations name them (`model_type`). SmolLM and SmolLM2 are llama."""

_THETA = 10_000.0


class UnservedError(Exception):
    """The decoder does not compute such a model. The message says what of it."""


@dataclass(frozen=True, slots=True)
class Architecture:
    vocabulary: int
    layers: int
    hidden: int
    heads: int
    key_heads: int
    head_size: int
    intermediate: int
    epsilon: float
    """Of the normalizations."""
    tied: bool
    """The head's weights are the embedding's."""
    biased: bool
    """Queries, keys and values have biases."""
    normed: bool
    """Queries and keys are normalized."""
    windows: tuple[int, ...]
    """How far back each layer sees; 0 is as far as there is."""
    frequencies: NDArray[np.float32]
    """[head size / 2]: radians for each position."""


def read_architecture(config: dict[str, Any]) -> Architecture:
    """Raises UnservedError."""
    family = config.get("model_type")
    if family not in FAMILIES:
        raise UnservedError(f"its type is {family}")
    if config.get("hidden_act", "silu") != "silu":
        raise UnservedError(f"its activation is {config['hidden_act']}")
    if config.get("mlp_bias") or config.get("attention_bias"):
        raise UnservedError("its projections have biases")
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    key_heads = config.get("num_key_value_heads") or heads
    if head_size % 2 or heads % key_heads:
        raise UnservedError(f"it has {heads} heads of {head_size} and {key_heads} of keys")
    return Architecture(
        vocabulary=config["vocab_size"],
        layers=layers,
        hidden=config["hidden_size"],
        heads=heads,
        key_heads=key_heads,
        head_size=head_size,
        intermediate=config["intermediate_size"],
        epsilon=config["rms_norm_eps"],
        tied=config.get("tie_word_embeddings", False),
        biased=family == "qwen2",
        normed=family == "qwen3",
        windows=_windows(config, layers),
        frequencies=_frequencies(config, head_size),
    )


def _windows(config: dict[str, Any], layers: int) -> tuple[int, ...]:
    window = config.get("sliding_window") or 0
    if not config.get("use_sliding_window", True):
        window = 0
    kinds = config.get("layer_types") or ["sliding_attention"] * layers
    return tuple(window if kind == "sliding_attention" else 0 for kind in kinds)


def _frequencies(config: dict[str, Any], size: int) -> NDArray[np.float32]:
    rotation = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = rotation.get("rope_theta") or config.get("rope_theta") or _THETA
    if rotation.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0)) != 1.0:
        raise UnservedError("it rotates a part of each head")
    plain = (1.0 / theta ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))).astype(np.float32)
    match rotation.get("rope_type", rotation.get("type", "default")):
        case "default":
            return plain
        case "linear":
            return plain / np.float32(rotation["factor"])
        case "llama3":
            return _stretch(plain, rotation)
        case kind:
            raise UnservedError(f"its rotation is {kind}")


def _stretch(plain: NDArray[np.float32], rotation: dict[str, Any]) -> NDArray[np.float32]:
    """Llama 3.1's: slow frequencies are divided by a factor, fast ones stay, those between go from one to the other."""
    low, high = rotation["low_freq_factor"], rotation["high_freq_factor"]
    turns = rotation["original_max_position_embeddings"] * plain / (2 * np.pi)
    share = np.clip((turns - low) / (high - low), 0, 1)
    stretched: NDArray[np.float32] = ((1 - share) * plain / rotation["factor"] + share * plain).astype(np.float32)
    return stretched
