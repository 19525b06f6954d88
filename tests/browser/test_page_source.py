"""Runs the chat page's own unit tests, with npm."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import skip

WEB = Path(__file__).parents[2] / "web"


@pytest.mark.node
def test_the_unit_tests_of_the_chat_page_pass() -> None:
    if shutil.which("npm") is None:
        skip("no npm here: install Node.js 20 or newer")
    if not (WEB / "node_modules" / "vite").is_dir():
        skip("the page's packages are not installed: run make test, or npm ci in web")
    ran = subprocess.run(["npm", "test", "--silent"], cwd=WEB, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr
