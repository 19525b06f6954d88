"""These tests run on SQLite only: old documents are refused before a request reaches the database."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "roomcast.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"
