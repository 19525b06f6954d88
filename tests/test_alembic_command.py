"""The command `alembic` in a checkout migrates the database that the settings name."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from roomcast.core import migrations

ROOT = Path(__file__).parent.parent


async def alembic(*arguments: str, database_url: str, **settings: str) -> tuple[int, str]:
    """The exit code of a command, and what it printed: its answer, its log and its errors."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROOMCAST_")}
    chosen = {f"ROOMCAST_{name.upper()}": value for name, value in settings.items()}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "alembic", "-c", str(ROOT / "alembic.ini"), *arguments],
        env=inherited | chosen | {"ROOMCAST_DATABASE_URL": database_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.plain_tables
async def test_alembic_migrates_down_and_up(database_url: str, tmp_path: Path) -> None:
    place = {"database_url": database_url, "data_dir": str(tmp_path)}
    assert f"{migrations.head()} (head)" in (await alembic("current", **place))[1]
    down = await alembic("downgrade", "base", **place)
    assert (down[0], await migrations.revision(database_url)) == (0, None), down[1]
    up = await alembic("upgrade", "head", **place)
    assert (up[0], await migrations.revision(database_url)) == (0, migrations.head()), up[1]
    assert "Running upgrade  -> 0001" in up[1]
    code, compared = await alembic("check", **place)
    assert (code, compared.splitlines()[-1]) == (0, "No new upgrade operations detected.")


async def test_alembic_lists_the_revisions(tmp_path: Path) -> None:
    code, printed = await alembic("history", database_url=f"sqlite:///{tmp_path}/x.db", data_dir=str(tmp_path))
    assert code == 0
    assert f"-> {migrations.head()} (head)" in printed.splitlines()[0]


async def test_alembic_prints_one_sentence_about_what_it_cannot_do(tmp_path: Path) -> None:
    folder = str(tmp_path)
    for arguments, url, reason in (
        (("current",), "mysql://db/chat", "ROOMCAST_DATABASE_URL: the URL has to begin with one of sqlite://"),
        (("current",), "postgresql://nobody@127.0.0.1:1/chat", "ROOMCAST_DATABASE_URL: the database cannot be used: "),
        (("upgrade", "head", "--sql"), f"sqlite:///{folder}/x.db", "--sql is not supported"),
    ):
        code, printed = await alembic(*arguments, database_url=url, data_dir=folder)
        assert code != 0
        assert f"FAILED: {reason}" in printed
        assert "Traceback" not in printed
