"""A folder's safetensors, as the arrays that a step reads."""

import json
from collections.abc import Callable, Iterator, Mapping
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

    def __call__(self, name: str, shape: tuple[int, ...]) -> Floats:
        """A tensor in float32. Raises ModelUnusableError if there is none of this shape."""
        # What is one and the same is stored once, under a name that the metadata tells.
        place = self._places.get(name) or self._places.get(self._aliases.get(name, ""))
        if not place:
            raise ModelUnusableError(f"{self._folder}: its weights lack {name}.")
        path, start, entry = place
        if entry["dtype"] not in _KINDS:
            raise ModelUnusableError(f"{path}: {name} is of the type {entry['dtype']}, which is not served.")
        # What is compiled looks at no bounds: a shape that config.json does not mean would lead outside.
        if tuple(entry["shape"]) != shape:
            raise ModelUnusableError(f"{path}: {name} is {entry['shape']}, and config.json wants {list(shape)}.")
        begin, _ = entry["data_offsets"]
        stored = np.memmap(path, _KINDS[entry["dtype"]], "r", start + begin, shape)
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


Shape = tuple[int, ...]


def read_weights(
    tensor: Callable[[str, Shape], Floats], architecture: Architecture, context_length: int, *, quantize: bool
) -> Weights:
    """Reads and packs a model's weights. Raises ModelUnusableError for what is missing or of another shape."""
    hidden, intermediate, size = architecture.hidden, architecture.intermediate, architecture.head_size
    queries, keys = architecture.heads * size, architecture.key_heads * size
    projections = {"self_attn.q_proj": queries, "self_attn.k_proj": keys, "self_attn.v_proj": keys}

    def of_layers(shapes: Mapping[str, Shape]) -> Iterator[Floats]:
        """Some tensors under one another, layer by layer."""
        for layer in range(architecture.layers):
            yield np.concatenate([tensor(f"model.layers.{layer}.{name}", shape) for name, shape in shapes.items()])

    def matrices(outputs: Mapping[str, int], inputs: int) -> Matrices:
        shapes = {f"{name}.weight": (rows, inputs) for name, rows in outputs.items()}
        return pack(of_layers(shapes), architecture.layers, quantize=quantize)

    def lines(sizes: Mapping[str, int], *, given: bool = True) -> Floats:
        if not given:
            return np.zeros((architecture.layers, 0), np.float32)
        return np.stack(list(of_layers({name: (length,) for name, length in sizes.items()})))

    embedding = tensor("model.embed_tokens.weight", (architecture.vocabulary, hidden))
    head = embedding if architecture.tied else tensor("lm_head.weight", (architecture.vocabulary, hidden))
    # In double precision, so that machines whose sines differ in the last bit agree when it is taken off.
    angles = np.arange(context_length, dtype=np.float64)[:, None] * architecture.frequencies
    return Weights(
        embedding=embedding,
        attention_norm=lines({"input_layernorm.weight": hidden}),
        query_norm=lines({"self_attn.q_norm.weight": size}, given=architecture.normed),
        key_norm=lines({"self_attn.k_norm.weight": size}, given=architecture.normed),
        mlp_norm=lines({"post_attention_layernorm.weight": hidden}),
        final_norm=np.array(tensor("model.norm.weight", (hidden,))),
        query_key_value=matrices(projections, hidden),
        query_key_value_bias=lines(
            {f"{name}.bias": rows for name, rows in projections.items()}, given=architecture.biased
        ),
        output=matrices({"self_attn.o_proj": hidden}, queries),
        gate_up=matrices({"mlp.gate_proj": intermediate, "mlp.up_proj": intermediate}, hidden),
        down=matrices({"mlp.down_proj": hidden}, intermediate),
        head=pack([head], 1, quantize=quantize),
        cosines=np.cos(angles).astype(np.float32),
        sines=np.sin(angles).astype(np.float32),
        windows=np.array(architecture.windows, np.int64),
    )
