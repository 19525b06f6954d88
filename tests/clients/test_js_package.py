"""clients/js and clients/react: packed, installed into an empty project, and run by Node against the real server."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients import node
from tests.clients.packages import CLIENTS, install
from tests.running_app import RunningApp

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node.require()
    folder = tmp_path_factory.mktemp("project")
    install(folder, "js", "react")
    return folder


def test_the_package_has_the_schema_and_no_sources(project: Path) -> None:
    package = project / "node_modules" / "@roomcast" / "client"
    assert (package / "schema.graphql").read_text() == (CLIENTS.parent / "schema.graphql").read_text()
    contents = {path.name for path in package.iterdir()}
    assert contents == {"LICENSE", "README.md", "dist", "package.json", "possibleTypes.json", "schema.graphql"}


def test_the_reducer_ends_with_the_state_of_the_server(project: Path) -> None:
    run = subprocess.run(["node", "--test", "tests/"], cwd=CLIENTS / "js", capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("script", ["package.test.mjs", "react.test.mjs"])
async def test_the_installed_packages_lose_and_repeat_nothing(app: RunningApp, project: Path, script: str) -> None:
    shutil.copy(node.FOLDER / script, project)
    environment = {**os.environ, "ROOMCAST_URL": app.url}
    process = await asyncio.create_subprocess_exec(
        "node", "--test", script, cwd=project, env=environment, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
