"""Where a model's files are: the bundled one, a folder, or a download. Safetensors only: nothing in them is run."""

import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from services.inference import bundled, checksums
from services.inference.checksums import Sum
from services.inference.engine import ModelUnusableError
from services.inference.json_files import require_json

_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model"]
"""What is fetched of a repository: no code, and no weights in formats that can carry it."""
_TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"]
_SHA256 = re.compile("[0-9a-f]{64}")


def names(model: str) -> tuple[str, str]:
    """The id by which requests name a model, and what people read; never where it is on this machine."""
    if model == bundled.MODEL_ID:
        return bundled.MODEL_ID, bundled.DISPLAY_NAME
    folder = Path(model)
    if folder.is_dir():
        return folder.resolve().name, folder.resolve().name
    return model, folder.name


def locate(model: str, cache: Path) -> Path:
    """The folder with a model's files, complete and unchanged. Takes as long as a download does.

    Raises ModelUnusableError, which names the file that is missing or damaged.
    """
    if model == bundled.MODEL_ID:
        folder = bundled.convert_once(cache)
        checksums.verify(folder, _book(folder.name, cache), {})
    elif Path(model).is_dir():
        folder = Path(model)
    else:
        folder = _download(model, cache, _FILES)
        checksums.verify(folder, _book(f"{folder.parent.parent.name}-{folder.name}", cache), _sums_of_hub(folder))
    check(folder)
    return folder


def locate_tokenizer(model: str, cache: Path) -> Path:
    """The folder with a model's tokenizer and chat template; its weights are another's. Raises ModelUnusableError."""
    if model == bundled.MODEL_ID:
        return bundled.convert_once(cache)
    return Path(model) if Path(model).is_dir() else _download(model, cache, _TOKENIZER_FILES)


def _book(name: str, cache: Path) -> Path:
    return cache / "checksums" / f"{name}.json"


def _download(model: str, cache: Path, files: list[str]) -> Path:
    from services.inference.download import download  # only now: few starts need it

    return download(model, cache, files)


def _sums_of_hub(folder: Path) -> checksums.Book:
    """What the hub says: it names a large file's content, to which the snapshot links, by its SHA-256."""
    contents = {path.name: path.resolve().name for path in folder.iterdir() if path.is_symlink()}
    return {name: Sum(content) for name, content in contents.items() if _SHA256.fullmatch(content)}


def check(folder: Path) -> None:
    """Raises ModelUnusableError for a file that is missing or cut off."""
    require_json(folder / "config.json")
    if not (folder / "tokenizer.json").is_file():
        raise ModelUnusableError(f"{folder / 'tokenizer.json'} is missing.")
    for name in _weight_files(folder):
        _check_weights(folder / name)


def _weight_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return ["model.safetensors"]
    return sorted(set(require_json(index).get("weight_map", {}).values()))


def _check_weights(path: Path) -> None:
    if not path.is_file():
        raise ModelUnusableError(f"{path} is missing. Weights must be in the safetensors format.")
    try:
        with safe_open(path, framework="numpy"):
            pass  # its header says how long the file must be
    except (SafetensorError, OSError) as error:
        raise ModelUnusableError(f"{path} is damaged: {error}") from None
