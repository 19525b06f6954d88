"""What happens before anything reaches the database is tested on one of the two."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "roomcast.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"
