"""A file that can never be a store's is refused in a sentence."""

from pathlib import Path

import pytest

from services.chassis.process import RefusedError
from services.chassis.sqlite import Database, file_of, migrate_file

FORMS = ["sqlite://x.sqlite{}", "sqlite:///{}", "sqlite:///{}/text", "sqlite:///{}/text/x.sqlite"]


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_no_database_is_refused(tmp_path: Path, form: str) -> None:
    text = tmp_path / "text"
    text.write_text("Nothing that SQLite wrote. " * 100)
    url = form.format(tmp_path)
    with pytest.raises(RefusedError, match="PARLEY_STORE_URL"):
        async with Database(url, ()):
            pass
    with pytest.raises(RefusedError, match="PARLEY_STORE_URL"):
        await migrate_file(url, ())
    assert text.read_text().startswith("Nothing")


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = file_of(f"sqlite:///{tmp_path}/new/x.sqlite")
    assert (path.stat().st_size, path.stat().st_mode & 0o077) == (0, 0)
