"""Programs out of Python packages that `make deployment` installs apart from our own environment."""

from pathlib import Path

from tests import servers

FOLDER = Path(__file__).parents[2] / ".cache" / "deployment" / "bin"


def tool(name: str) -> Path:
    """The path of a program. Skips the running test where it is not installed; in CI, fails it."""
    path = FOLDER / name
    return path if path.exists() else servers.skip(f"{path} was not found: make .cache/deployment/.ready")
