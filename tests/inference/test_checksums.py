"""Checksums: what changed is named, what did not is read once, and processes may look together."""

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from services.inference import checksums
from services.inference.checksums import Sum, verify
from services.inference.engine import ModelUnusableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def book(tmp_path: Path, folder: Path) -> Path:
    verify(folder, tmp_path / "checksums" / "model.json", {})
    return tmp_path / "checksums" / "model.json"


def test_a_changed_file_is_named_though_it_is_as_long(folder: Path, book: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(b"Weights" * 1000)
    os.utime(weights, (1, 1))
    with pytest.raises(ModelUnusableError, match=r"model\.safetensors is damaged: its SHA-256"):
        verify(folder, book, {})


@pytest.mark.parametrize(("content", "words"), [(b"weights", "has 7 bytes, and had 7000"), (None, "is missing")])
def test_a_shorter_or_missing_file_is_named(folder: Path, book: Path, content: bytes | None, words: str) -> None:
    weights = folder / "model.safetensors"
    weights.unlink() if content is None else weights.write_bytes(content)
    with pytest.raises(ModelUnusableError, match=rf"model\.safetensors .*{words}"):
        verify(folder, book, {})


def test_what_did_not_change_is_not_read_again(folder: Path, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path, size: int) -> str:
        raise AssertionError(f"{path} was read, all {size} bytes")

    monkeypatch.setattr(checksums, "_sum", read)
    before = book.read_bytes()
    verify(folder, book, {})
    assert book.read_bytes() == before


def test_a_copied_folder_is_compared_in_full_once(folder: Path, book: Path) -> None:
    os.utime(folder / "model.safetensors", (1, 1))
    verify(folder, book, {})
    assert json.loads(book.read_bytes())["model.safetensors"]["modified"] == 1


def test_a_first_look_believes_what_the_hub_said(tmp_path: Path, folder: Path) -> None:
    good = hashlib.sha256(b"weights" * 1000).hexdigest()
    verify(folder, tmp_path / "good.json", {"model.safetensors": Sum(good)})
    with pytest.raises(ModelUnusableError, match=r"model\.safetensors is damaged"):
        verify(folder, tmp_path / "bad.json", {"model.safetensors": Sum("0" * 64)})
    assert not (tmp_path / "bad.json").exists()


def test_a_damaged_book_is_made_again(folder: Path, book: Path) -> None:
    whole = book.read_bytes()
    for damage in (b"{", b"[]", b'{"config.json": {}}'):
        book.write_bytes(damage)
        verify(folder, book, {})
        assert book.read_bytes() == whole


def test_processes_may_look_together(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "together.json"
    threads = [threading.Thread(target=verify, args=(folder, path, {})) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(json.loads(path.read_bytes())) == {"model.safetensors", "config.json"}
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["together.json"]
