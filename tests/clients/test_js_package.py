"""clients/js: packed, installed into an empty folder, and run by Node against the real server."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import servers
from tests.clients import node
from tests.running_app import RunningApp

PACKAGE = node.FOLDER.parents[1] / "clients" / "js"

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as `npm pack` makes it. What it depends on is that of the tests."""
    node.require()
    if not (PACKAGE / "node_modules" / "typescript").is_dir():
        servers.skip("the compiler of clients/js is not installed: run make clients, or npm ci in clients/js")
    folder = tmp_path_factory.mktemp("project")
    subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", folder], cwd=PACKAGE, check=True, capture_output=True
    )
    [tarball] = folder.glob("*.tgz")
    packages = folder / "node_modules"
    (packages / "@roomcast").mkdir(parents=True)
    shutil.unpack_archive(tarball, packages / "@roomcast")
    (packages / "@roomcast" / "package").rename(packages / "@roomcast" / "client")
    for name in ("graphql", "graphql-ws", "ws"):
        (packages / name).symlink_to(node.FOLDER / "node_modules" / name)
    return folder


def test_the_package_has_the_schema_and_no_sources(project: Path) -> None:
    package = project / "node_modules" / "@roomcast" / "client"
    assert (package / "schema.graphql").read_text() == (PACKAGE.parents[1] / "schema.graphql").read_text()
    assert {path.name for path in package.iterdir()} == {
        "LICENSE",
        "README.md",
        "dist",
        "package.json",
        "possibleTypes.json",
        "schema.graphql",
    }


def test_the_reducer_ends_with_the_state_of_the_server(project: Path) -> None:
    run = subprocess.run(["node", "--test", "tests/"], cwd=PACKAGE, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


async def test_the_installed_package_loses_and_repeats_nothing(app: RunningApp, project: Path) -> None:
    shutil.copy(node.FOLDER / "package.test.mjs", project)
    environment = {**os.environ, "ROOMCAST_URL": app.url}
    process = await asyncio.create_subprocess_exec(
        "node", "--test", "package.test.mjs", cwd=project, env=environment, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
