"""A folder's safetensors, as the arrays that a step reads."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from services.inference.cpu.architecture import Architecture
from services.inference.cpu.job import Floats, Matrices, Weights
from services.inference.cpu.packing import pack
from services.inference.engine import ModelUnusableError

_KINDS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}

Array = np.ndarray[Any, np.dtype[Any]]


class Checkpoint:
    """Tensors by their names, mapped: what is not read takes no memory.

    The format is read here because the library gives numpy no bfloat16: https://github.com/huggingface/safetensors
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        index = folder / "model.safetensors.index.json"
        names = json.loads(index.read_bytes())["weight_map"].values() if index.exists() else ["model.safetensors"]
        self._places: dict[str, tuple[Path, int, dict[str, Any]]] = {}
        self._aliases: dict[str, str] = {}
        for name in sorted(set(names)):
            self._read_header(folder / name)

    def __call__(self, name: str) -> Floats:
        """A tensor in float32. Raises ModelUnusableError if there is none."""
        # What is one and the same is stored once, under a name that the metadata tells.
        place = self._places.get(name) or self._places.get(self._aliases.get(name, ""))
        if not place:
            raise ModelUnusableError(f"{self._folder}: its weights lack {name}.")
        path, start, entry = place
        if entry["dtype"] not in _KINDS:
            raise ModelUnusableError(f"{path}: {name} is of the type {entry['dtype']}, which is not served.")
        begin, _ = entry["data_offsets"]
        stored = np.memmap(path, _KINDS[entry["dtype"]], "r", start + begin, tuple(entry["shape"]))
        wide = (stored.astype(np.uint32) << 16).view(np.float32) if entry["dtype"] == "BF16" else stored
        read: Floats = wide.view(np.ndarray).astype(np.float32, copy=False)
        # A mapped one is: what is compiled is compiled for either, or for both.
        read.flags.writeable = False
        return read

    def _read_header(self, path: Path) -> None:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        self._aliases |= header.pop("__metadata__", None) or {}
        self._places |= {name: (path, 8 + size, entry) for name, entry in header.items()}


def read_weights(
    tensor: Callable[[str], Floats], architecture: Architecture, context_length: int, *, quantize: bool
) -> Weights:
    """Reads and packs a model's weights. Raises ModelUnusableError for what is missing."""

    def of_layers(*names: str) -> Iterator[Floats]:
        """Some tensors under one another, layer by layer."""
        for layer in range(architecture.layers):
            yield np.concatenate([tensor(f"model.layers.{layer}.{name}") for name in names])

    def matrices(*names: str) -> Matrices:
        return pack(of_layers(*(f"{name}.weight" for name in names)), architecture.layers, quantize=quantize)

    def lines(*names: str, given: bool = True) -> Floats:
        return np.stack(list(of_layers(*names))) if given else np.zeros((architecture.layers, 0), np.float32)

    projections = [f"self_attn.{name}_proj" for name in "qkv"]
    embedding = tensor("model.embed_tokens.weight")
    head = embedding if architecture.tied else tensor("lm_head.weight")
    # In double precision, so that machines whose sines differ in the last bit agree when it is taken off.
    angles = np.arange(context_length, dtype=np.float64)[:, None] * architecture.frequencies
    return Weights(
        embedding=embedding,
        attention_norm=lines("input_layernorm.weight"),
        query_norm=lines("self_attn.q_norm.weight", given=architecture.normed),
        key_norm=lines("self_attn.k_norm.weight", given=architecture.normed),
        mlp_norm=lines("post_attention_layernorm.weight"),
        final_norm=np.array(tensor("model.norm.weight")),
        query_key_value=matrices(*projections),
        query_key_value_bias=lines(*(f"{name}.bias" for name in projections), given=architecture.biased),
        output=matrices("self_attn.o_proj"),
        gate_up=matrices("mlp.gate_proj", "mlp.up_proj"),
        down=matrices("mlp.down_proj"),
        head=pack([head], 1, quantize=quantize),
        cosines=np.cos(angles).astype(np.float32),
        sines=np.sin(angles).astype(np.float32),
        windows=np.array(architecture.windows, np.int64),
    )
