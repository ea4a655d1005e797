"""Checksums of a model's files: written once, compared in full once for each machine, and cheaply at every start."""

import hashlib
import json
import logging
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from services.chassis.telemetry import log
from services.inference.engine import ModelUnusableError
from services.inference.progress import Progress

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sum:
    sha256: str
    size: int | None = None
    modified: int | None = None
    """In seconds: when the file was last changed that was found to have this sum. None: it was not compared yet."""


Book = dict[str, Sum]
"""By the names of files in the model's folder."""


def verify(folder: Path, path: Path, expected: Book) -> None:
    """Compares a folder with the book at `path`, which is written if there is none; processes may do so together.

    `expected` is what the new book begins with; other files are taken as they are. Raises ModelUnusableError for a file
    that is missing or changed.
    """
    old = _read(path)
    book = expected if old is None else old
    names = sorted(book) if old is not None else sorted({*book, *_names(folder)})
    new = {name: _verify(folder / name, book.get(name)) for name in names}
    if new != old:
        _write(path, new)


def _verify(path: Path, known: Sum | None) -> Sum:
    try:
        status = path.stat()
    except OSError:
        raise ModelUnusableError(f"{path} is missing.") from None
    size, modified = status.st_size, int(status.st_mtime)
    if known and known.size not in (None, size):
        raise ModelUnusableError(f"{path} is damaged: it has {size} bytes, and had {known.size}.")
    if known and known.modified == modified:
        return known
    found = _sum(path, size)
    if known and known.sha256 != found:
        raise ModelUnusableError(f"{path} is damaged: its SHA-256 is {found}, and should be {known.sha256}.")
    return Sum(found, size, modified)


def _sum(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file, Progress(f"checking {path.name}", size) as progress:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            progress.add(len(chunk))
    return digest.hexdigest()


def _names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.is_file()]


def _read(path: Path) -> Book | None:
    try:
        return {name: Sum(**entry) for name, entry in json.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, OSError) as error:
        log(logger, logging.WARNING, "checksums cannot be read, and are made again", why=str(error))
        return None


def _write(path: Path, book: Book) -> None:
    content = json.dumps({name: asdict(entry) for name, entry in book.items()}, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(content)
        # An image may be built by another user than it runs as.
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        log(logger, logging.INFO, "checksums cannot be kept, and are compared at every start", why=str(error))
