"""The decoder against transformers, and against itself: alone, in company, in parts, continued."""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import log_softmax
from transformers import AutoModelForCausalLM

from services.inference.batch_engine import Loaded
from services.inference.bundled import convert_once
from services.inference.cpu.architecture import UnservedError, read_architecture
from services.inference.cpu.cores import cores
from services.inference.cpu.decoder import PASS_ROWS, Decoder
from services.inference.engine import ModelUnusableError, Parameters
from services.inference.generation import Generation
from services.inference.reply import Reply
from services.inference.scheduler import Chunk
from tests.inference.conftest import Cache, load_on_cpu
from tests.inference.cpu.families import FAMILIES, make_family
from tests.inference.generations import chat

# On a new machine the first of them converts the model and compiles the kernels.
pytestmark = pytest.mark.timeout(300)

PROMPT = random.Random(5).choices(range(2, 300), k=90)


def tokens_of(prompt: Sequence[int], blocks: Sequence[int], loaded: Loaded) -> Generation:
    """A generation of these tokens, whose keys and values go into these blocks."""
    parameters = Parameters(0, 1, 1, (), 0)
    generation = Generation(
        tuple(prompt), Reply(loaded.tokenizer.vocabulary, (), parameters), parameters, lambda _: None, tenant="t"
    )
    generation.blocks[:] = blocks
    return generation


def logits(loaded: Loaded, generation: Generation, parts: Sequence[int] = ()) -> np.ndarray:
    """Behind its last token; the step is divided before the positions `parts`."""
    decoder = loaded.model
    assert isinstance(decoder, Decoder)
    borders = [0, *parts, generation.length]
    for start, stop in pairwise(borders):
        brought = decoder.forward([Chunk(generation, start, stop - start)])
    return np.array(brought[0])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_in_float32_decodes_as_transformers_does(name: str, tmp_path: Path) -> None:
    model = make_family(name, tmp_path)
    loaded = load_on_cpu(tmp_path)
    assert isinstance(loaded.model, Decoder)
    tokens = list(PROMPT)
    for _ in range(24):
        drawn = int(logits(loaded, tokens_of(tokens, range(4), loaded)).argmax())
        tokens.append(drawn)
    asked = torch.tensor([PROMPT])
    expected = model.generate(asked, max_new_tokens=24, do_sample=False, eos_token_id=None)  # type: ignore[operator]
    assert tokens == expected[0].tolist()


@pytest.mark.parametrize("name", ["llama", "qwen3"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_read_as_they_are(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = make_family(name, tmp_path, dtype)
    loaded = load_on_cpu(tmp_path)
    with torch.inference_mode():
        expected = model(torch.tensor([PROMPT])).logits[0, -1].numpy()
    assert logits(loaded, tokens_of(PROMPT, range(3), loaded)) == pytest.approx(expected, abs=1e-3)


@pytest.fixture(scope="module")
def quantized() -> Loaded:
    return load_on_cpu(convert_once(Cache().cache.expanduser()), threads=2, precision="int8")


TEXT = (
    "The old fisherman walked down to the harbour every morning before the sun rose. He had done so for forty years, "
    "and his father had done it before him. Photosynthesis is the process by which green plants convert sunlight, "
    "water and carbon dioxide into glucose and oxygen. The capital of France is Paris, that of Germany is Berlin."
)


def test_int8_says_nearly_what_float32_says(quantized: Loaded) -> None:
    """The mean divergence over a text is far below what would show, and the likeliest token is mostly the same."""
    model = AutoModelForCausalLM.from_pretrained(convert_once(Cache().cache.expanduser()))
    tokens = quantized.tokenizer.encode(chat(TEXT)).tokens
    with torch.inference_mode():
        expected = log_softmax(model(torch.tensor([list(tokens)])).logits[0], -1)
    got = torch.stack(
        [
            torch.tensor(logits(quantized, tokens_of(tokens[: place + 1], range(8), quantized)))
            for place in range(0, len(tokens), 4)
        ]
    )
    chosen = expected[::4]
    divergence = (chosen.exp() * (chosen - log_softmax(got, -1))).sum(-1)
    assert divergence.mean() < 0.02
    assert (chosen.argmax(-1) == got.argmax(-1)).float().mean() > 0.9


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_neighbours_parts_and_places_change_no_bit(precision: str, smollm2: Loaded, quantized: Loaded) -> None:
    loaded = quantized if precision == "int8" else smollm2
    decoder = loaded.model
    assert isinstance(decoder, Decoder)
    chosen = random.Random(11)
    prompts = [chosen.choices(range(1000, 40_000), k=length) for length in (1, 31, 32, 33, 70, 100)]
    alone = [logits(loaded, tokens_of(prompt, range(4), loaded)) for prompt in prompts]

    for prompt, expected in zip(prompts, alone, strict=True):
        again = logits(loaded, tokens_of(prompt, [9, 3, 17, 5], loaded), range(1, len(prompt)))
        assert np.array_equal(again, expected)

    together = [tokens_of(prompt, range(4 * at, 4 * at + 4), loaded) for at, prompt in enumerate(prompts)]
    assert sum(map(len, prompts)) > PASS_ROWS
    brought = np.array(decoder.forward([Chunk(each, 0, each.length) for each in together]))
    assert np.array_equal(brought, np.stack(alone))


def test_what_a_block_held_before_does_not_matter(quantized: Loaded) -> None:
    decoder = quantized.model
    assert isinstance(decoder, Decoder)
    prompt = PROMPT[:40]
    expected = logits(quantized, tokens_of(prompt, [1, 2], quantized))
    for cache in decoder.cache:
        cache[:, 1:3] = np.nan
    assert np.array_equal(logits(quantized, tokens_of(prompt, [1, 2], quantized)), expected)


def test_a_reply_whose_numbers_break_leaves_the_others_alone(quantized: Loaded) -> None:
    decoder = quantized.model
    assert isinstance(decoder, Decoder)
    healthy, broken = tokens_of(PROMPT[:40], [1, 2], quantized), tokens_of(PROMPT[:40], [3, 4], quantized)
    expected = logits(quantized, healthy)
    logits(quantized, broken)
    for cache in decoder.cache:
        cache[7, 3] = np.nan
    brought = np.array(decoder.forward([Chunk(broken, 39, 1), Chunk(healthy, 39, 1)]))
    assert not np.isfinite(brought[0]).any()
    assert np.array_equal(brought[1], expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(threads: int, tmp_path: Path) -> None:
    """More of them than cores, too: each takes what is left."""
    make_family("qwen2", tmp_path)
    two, other = (load_on_cpu(tmp_path, threads=count, precision="int8") for count in (2, threads))
    for length in (1, 60, 90):
        prompt = PROMPT[:length]
        assert np.array_equal(
            logits(two, tokens_of(prompt, range(3), two)), logits(other, tokens_of(prompt, range(3), other))
        )


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ({"model_type": "gemma3"}, "its type is gemma3"),
        ({"hidden_act": "gelu"}, "its activation is gelu"),
        ({"attention_bias": True}, "its projections have biases"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "its rotation is longrope"),
        ({"partial_rotary_factor": 0.5}, "it rotates a part of each head"),
        ({"num_key_value_heads": 3}, "it has 4 heads of 16 and 3 of keys"),
        ({"head_dim": 17}, "it has 4 heads of 17"),
    ],
)
def test_what_it_does_not_compute_it_names(chosen: dict[str, object], why: str) -> None:
    config = {
        "model_type": "llama",
        "vocab_size": 320,
        "num_attention_heads": 4,
        "num_hidden_layers": 1,
        "hidden_size": 64,
        "intermediate_size": 64,
        "rms_norm_eps": 1e-5,
    }
    assert read_architecture(config).head_size == 16
    with pytest.raises(UnservedError, match=why):
        read_architecture(config | chosen)


@pytest.mark.parametrize(
    "name", ["model.embed_tokens", "model.layers.1.mlp.gate_proj", "model.layers.2.input_layernorm"]
)
def test_a_tensor_of_another_shape_than_the_configuration_says_is_refused(name: str, tmp_path: Path) -> None:
    make_family("llama", tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    wrong = tensors[f"{name}.weight"]
    tensors[f"{name}.weight"] = torch.cat([wrong, wrong])
    save_file(tensors, path)
    with pytest.raises(ModelUnusableError, match=f"{name}.weight is .*, and config.json wants "):
        load_on_cpu(tmp_path)


def test_a_container_gets_no_more_threads_than_its_share(tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    everything = cores(limit)
    for written, expected in (
        ("max 100000", everything),
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("odd", everything),
    ):
        limit.write_text(written)
        assert cores(limit) == expected
