"""The data folder: for its owner's eyes, and for one mesh at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.launcher.refusal import RefusalError

_LOCK = "lock"


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Makes the folder (mode 0700) and holds it. Raises RefusalError if another mesh does, or it has other things."""
    _make_private(folder)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # The kernel lets go of it however this process ends.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RefusalError(
            f"Another mesh runs on the data folder {folder}. Stop it, or name another folder: PARLEY_DATA=FOLDER"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Replaces the file at once by one that only its owner may read."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            # Somebody's home or /tmp, named by mistake, must not be closed to others.
            if any(folder.iterdir()) and not (folder / _LOCK).exists():
                raise RefusalError(
                    f"The data folder {folder} is open to others and holds other things. Name another one."
                )
            folder.chmod(0o700)
    except OSError as error:
        raise RefusalError(f"The data folder {folder} cannot be used: {error.strerror}.") from None
