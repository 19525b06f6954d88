"""The source of the former release, for tests of upgrades."""

import os
import subprocess
from pathlib import Path

import pytest

from roomcast.core import migrations

ROOT = Path(__file__).parents[2]


def former_release(folder: Path) -> Path:
    """A folder with the source (`src`, `alembic`) of the former release. Skips the test where none is found.

    It is the folder in ROOMCAST_TEST_FORMER_RELEASE; else the newest tag `v*` whose database is older than ours; else,
    as long as nothing has been released, the last commit before the newest migration. A shallow clone has neither tags
    nor commits. Where several migrations came with one commit, nothing promises that the one before works beside it.
    """
    if chosen := os.environ.get("ROOMCAST_TEST_FORMER_RELEASE"):
        return Path(chosen)
    head = int(migrations.head())
    tags = [tag for tag in git("tag", "--list", "v*", "--sort=-version:refname") if 0 < _revision(tag) < head]
    for commit in tags or _before_migrations():
        if tags or _revision(commit) == head - 1:
            archive = subprocess.run(["git", "archive", commit, "src", "alembic"], cwd=ROOT, capture_output=True)
            subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
            return folder
    pytest.skip("this checkout has no history: git fetch --unshallow --tags, or set ROOMCAST_TEST_FORMER_RELEASE")


def _before_migrations() -> list[str]:
    """For each commit that changed the migrations, the newest first, the commit before it."""
    changes = git("log", "--first-parent", "--format=%H", "--", "alembic/versions")
    return [f"{commit}~1" for commit in changes]


def _revision(commit: str) -> int:
    """The number of a commit's newest migration; 0 where there is none."""
    names = git("ls-tree", "--name-only", commit, "alembic/versions/")
    return max((int(Path(name).name.partition("_")[0]) for name in names if name.endswith(".py")), default=0)


def git(*arguments: str) -> list[str]:
    """The lines of the output; none if the command fails, or where there is no git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
