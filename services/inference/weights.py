"""Where a model's files are: the bundled one, a folder, or a download. Safetensors only: nothing in them is run."""

import json
import logging
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open

from services.chassis.telemetry import log
from services.inference import bundled
from services.inference.engine import ModelUnusableError

logger = logging.getLogger(__name__)

_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model"]
"""What is fetched of a repository: no code, and no weights in formats that can carry it."""


def names(model: str) -> tuple[str, str]:
    """The id by which requests name a model, and what people read; never where it is on this machine."""
    if model == bundled.MODEL_ID:
        return bundled.MODEL_ID, bundled.DISPLAY_NAME
    folder = Path(model)
    if folder.is_dir():
        return folder.resolve().name, folder.resolve().name
    return model, folder.name


def locate(model: str, cache: Path) -> Path:
    """The folder with a model's files, complete. Takes as long as a download does. Raises ModelUnusableError."""
    if model == bundled.MODEL_ID:
        folder = bundled.convert_once(cache)
    elif Path(model).is_dir():
        folder = Path(model)
    else:
        folder = _download(model, cache)
    check(folder)
    return folder


def _download(model: str, cache: Path) -> Path:
    log(logger, logging.INFO, "fetching the model unless it is cached", model=model)
    try:
        return Path(snapshot_download(model, cache_dir=cache / "hub", allow_patterns=_FILES))
    except HFValidationError:
        raise ModelUnusableError(f"{model}: there is no such folder, and it is not a Hugging Face id.") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelUnusableError(f"{model}: it could not be fetched: {error}") from error


def check(folder: Path) -> None:
    """Raises ModelUnusableError for a file that is missing or cut off."""
    for name in ("config.json", "tokenizer.json"):
        _read_json(folder / name)
    for name in _weight_files(folder):
        _check_weights(folder / name)


def _weight_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return ["model.safetensors"]
    return sorted(set(_read_json(index).get("weight_map", {}).values()))


def _read_json(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelUnusableError(f"{path} is missing.") from None
    except (ValueError, OSError) as error:
        raise ModelUnusableError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ModelUnusableError(f"{path} is not what it should be: a JSON object.")
    return content


def _check_weights(path: Path) -> None:
    if not path.is_file():
        raise ModelUnusableError(f"{path} is missing. Weights must be in the safetensors format.")
    try:
        with safe_open(path, framework="numpy"):
            pass  # its header says how long the file must be
    except (SafetensorError, OSError) as error:
        raise ModelUnusableError(f"{path} is damaged: {error}") from None
