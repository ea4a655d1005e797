"""Models from the Hugging Face hub. It brings the hub's client, which takes a moment to import."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils.tqdm import tqdm

from services.chassis.telemetry import log
from services.inference.engine import ModelUnusableError
from services.inference.progress import LINE_SECONDS

logger = logging.getLogger(__name__)


def download(model: str, cache: Path, files: Sequence[str]) -> Path:
    """The folder with the files that match, fetched unless they are there. Raises ModelUnusableError."""
    log(logger, logging.INFO, "fetching the model unless it is cached", model=model)
    bars = tqdm if sys.stderr.isatty() else Lines
    try:
        return Path(snapshot_download(model, cache_dir=cache / "hub", allow_patterns=list(files), tqdm_class=bars))
    except HFValidationError:
        raise ModelUnusableError(f"{model}: there is no such folder, and it is not a Hugging Face id.") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelUnusableError(f"{model}: it could not be fetched: {error}") from error


class Lines(tqdm):
    """A bar of the client as lines in the log."""

    def __init__(self, *args: Any, **chosen: Any) -> None:
        # It is silent where there is no terminal, unless it is told otherwise.
        chosen |= {"disable": False, "mininterval": LINE_SECONDS, "delay": LINE_SECONDS}
        super().__init__(*args, **chosen)  # type: ignore[no-untyped-call]

    def display(self, msg: str | None = None, pos: int | None = None) -> None:  # noqa: ARG002 - tqdm's
        if self.unit == "B" and self.total:
            log(logger, logging.INFO, "fetching the model", percent=int(100 * self.n / self.total), bytes=int(self.n))
