from pathlib import Path

import pytest

from services.chassis.config import Settings
from services.inference.bundled import MODEL_ID
from services.inference.config import Config
from services.inference.loading import Place, load
from services.inference.torch_engine import Loaded
from tests.inference.tiny import CONTEXT_LENGTH, make_folder

CACHE_TOKENS = 32_768


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Loaded:
    return load(Place(str(tiny_folder), tiny_folder, "cpu", 1), CACHE_TOKENS, CONTEXT_LENGTH)


class Cache(Settings):
    """Where this machine keeps models: the tests use what the service has converted, and the other way round."""

    cache: Path = Config.model_fields["cache"].default


@pytest.fixture(scope="session")
def smollm2() -> Loaded:
    return load(Place(MODEL_ID, Cache().cache.expanduser(), "cpu", 0), CACHE_TOKENS, 8192)
