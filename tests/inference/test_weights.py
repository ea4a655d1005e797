"""Where models come from: what is missing or damaged is named, and one conversion serves all."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import BloomConfig, BloomForCausalLM

from services.inference import bundled
from services.inference import weights as weights_module
from services.inference.engine import ModelUnusableError
from services.inference.weights import locate, names
from tests.inference.conftest import load_on_cpu
from tests.inference.tiny import make_tokenizer


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def index_a_missing_shard(path: Path) -> None:
    path.with_name("model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": path.name, "y": "b"}}))


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("model.safetensors", Path.unlink, "model.safetensors is missing"),
        ("model.safetensors", cut_off, "model.safetensors is damaged"),
        ("model.safetensors", index_a_missing_shard, "model/b is missing"),
        ("config.json", Path.unlink, "config.json is missing"),
        ("config.json", lambda path: path.write_text("{"), "config.json cannot be read"),
        ("config.json", lambda path: path.write_text("[]"), "config.json is not what it should be"),
        ("tokenizer.json", Path.unlink, "tokenizer.json is missing"),
        ("config.json", lambda path: path.write_text('{"model_type": "unheard_of"}'), "unheard_of"),
        (
            "config.json",
            lambda path: path.write_text('{"auto_map": {"AutoConfig": "evil.Config"}, "model_type": "x"}'),
            "model",
        ),
    ],
)
def test_a_damaged_folder_is_refused_by_name(
    folder: Path, name: str, damage: Callable[[Path], object], words: str
) -> None:
    damage(folder / name)
    with pytest.raises(ModelUnusableError, match=words):
        load_on_cpu(locate(str(folder), folder))


def test_weights_that_are_not_all_there_are_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnusableError, match=r"lack model\.layers\.1\.mlp\.up_proj\.weight"):
        load_on_cpu(locate(str(folder), folder))


def test_pickled_weights_are_not_taken(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelUnusableError, match="safetensors"):
        load_on_cpu(locate(str(folder), folder))


def test_a_model_is_named_without_its_place(folder: Path) -> None:
    assert names(str(folder)) == ("model", "model")
    assert names("org/some-model") == ("org/some-model", "some-model")
    assert names(bundled.MODEL_ID) == (bundled.MODEL_ID, bundled.DISPLAY_NAME)


def test_what_is_neither_a_folder_nor_an_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusableError, match="no such folder"):
        locate("/nowhere/at/all", tmp_path)


def test_a_model_whose_attention_is_not_known_is_refused(folder: Path) -> None:
    tokenizer = make_tokenizer()
    BloomForCausalLM(BloomConfig(vocab_size=len(tokenizer), hidden_size=32, n_layer=2, n_head=2)).save_pretrained(
        folder
    )
    with pytest.raises(ModelUnusableError, match="attention"):
        load_on_cpu(locate(str(folder), folder))


def test_processes_that_start_together_convert_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conversions: list[Path] = []
    together = threading.Barrier(4)

    def convert(gguf: Path, folder: Path) -> None:
        assert gguf.is_file()
        conversions.append(folder)
        (folder / "config.json").write_text("{}")

    def ask() -> None:
        together.wait()
        found.append(bundled.convert_once(tmp_path))

    monkeypatch.setattr(bundled, "_convert", convert)
    found: list[Path] = []
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(conversions) == 1
    assert len(set(found)) == 1
    assert len(found) == 4
    assert (found[0] / "config.json").read_text() == "{}"


def test_a_conversion_that_died_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(gguf: Path, folder: Path) -> None:
        (folder / "half").write_bytes(gguf.name.encode())
        raise RuntimeError("power cut")

    monkeypatch.setattr(bundled, "_convert", die)
    with pytest.raises(RuntimeError):
        bundled.convert_once(tmp_path)
    monkeypatch.setattr(bundled, "_convert", lambda _, folder: (folder / "whole").touch())
    folder = bundled.convert_once(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["whole"]
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_a_conversion_that_was_changed_is_named(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "_convert", lambda _, folder: shutil.copytree(tiny_folder, folder, dirs_exist_ok=True))
    weights = locate(bundled.MODEL_ID, tmp_path) / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + b"ruin")
    os.utime(weights, (1, 1))
    with pytest.raises(ModelUnusableError, match=r"model\.safetensors is damaged: its SHA-256"):
        locate(bundled.MODEL_ID, tmp_path)
    weights.write_bytes(content)
    locate(bundled.MODEL_ID, tmp_path)


def test_a_download_is_compared_with_what_the_hub_calls_it(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "hub" / "models--org--model"
    snapshot = repository / "snapshots" / "abc"
    shutil.copytree(tiny_folder, snapshot)
    blob = repository / "blobs" / ("0" * 64)
    blob.parent.mkdir()
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    monkeypatch.setattr(weights_module, "_download", lambda *_: snapshot)
    with pytest.raises(ModelUnusableError, match=r"model\.safetensors is damaged: its SHA-256"):
        locate("org/model", tmp_path)
    good = hashlib.sha256(blob.read_bytes()).hexdigest()
    (snapshot / "model.safetensors").unlink()
    blob.rename(blob.with_name(good))
    (snapshot / "model.safetensors").symlink_to(blob.with_name(good))
    assert locate("org/model", tmp_path) == snapshot
