"""Where compiled kernels are kept: a folder for each state of their source, so that none is used for another."""

import hashlib
from pathlib import Path

import numba

from services.inference import blocks

KERNELS_BESIDE = ("nucleus.py", "philox.py")
"""Of the sampler: beside this folder, and not imported here, for they are compiled when they are."""


def keep_in(cache: Path) -> bool:
    """Has what is compiled from now on kept under `cache`, and says whether something is there already.

    To be called before the kernels are imported.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    beside = (Path(blocks.__file__).parent / name for name in KERNELS_BESIDE)
    for source in (*sorted(Path(__file__).parent.glob("*.py")), Path(blocks.__file__), *beside):
        digest.update(source.read_bytes())
    folder = cache / "kernels" / digest.hexdigest()[:16]
    numba.config.CACHE_DIR = str(folder)
    return folder.exists()
