from pathlib import Path

import pytest

from services.chassis.config import Settings
from services.inference.batch_engine import Loaded
from services.inference.bundled import convert_once
from services.inference.config import Config
from services.inference.loading import load
from tests.inference.tiny import CONTEXT_LENGTH, make_folder

CACHE_TOKENS = 32_768


def load_on_cpu(
    folder: Path, threads: int = 1, max_context_length: int = CONTEXT_LENGTH, precision: str = "float32"
) -> Loaded:
    return load(
        folder,
        device="cpu",
        precision=precision,
        threads=threads,
        cache_tokens=CACHE_TOKENS,
        max_context_length=max_context_length,
        kernels=Cache().cache.expanduser(),
    )


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Loaded:
    return load_on_cpu(tiny_folder, threads=1, max_context_length=CONTEXT_LENGTH)


class Cache(Settings):
    """Where this machine keeps models: the tests use what the service has converted, and the other way round."""

    cache: Path = Config.model_fields["cache"].default


@pytest.fixture(scope="session")
def smollm2() -> Loaded:
    return load_on_cpu(convert_once(Cache().cache.expanduser()), threads=0, max_context_length=8192)
