"""The packages of clients/, packed, and unpacked into the `node_modules` of an empty project."""

import shutil
import subprocess
from pathlib import Path

from tests import servers
from tests.clients import node

CLIENTS = node.FOLDER.parents[1] / "clients"


def install(project: Path, *names: str) -> Path:
    """Install packages (`js`, `react`, `element`) with what they need. Returns the folder of `node_modules`."""
    packages = project / "node_modules"
    (packages / "@roomcast").mkdir(parents=True)
    for name in names:
        source = CLIENTS / name
        if not (source / "node_modules" / "typescript").is_dir():
            servers.skip(f"the compiler of clients/{name} is not installed: run make clients, or npm ci there")
        packed = project / f"{name}-packed"
        packed.mkdir()
        command = ["npm", "pack", "--silent", "--pack-destination", str(packed)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        [tarball] = packed.glob("*.tgz")
        shutil.unpack_archive(tarball, packed)
        (packed / "package").rename(packages / "@roomcast" / {"js": "client"}.get(name, name))
    for name in ("graphql", "graphql-ws", "ws"):
        (packages / name).symlink_to(node.FOLDER / "node_modules" / name)
    if "react" in names:
        for name in ("react", "react-dom", "scheduler", "jsdom"):
            (packages / name).symlink_to(CLIENTS / "react" / "node_modules" / name)
    return packages
