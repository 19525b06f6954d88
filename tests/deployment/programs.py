"""Programs of Debian packages that these tests run: proxies, poolers, container tools."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests import servers

PACKAGES = {
    "buildah": "buildah",
    "caddy": "caddy",
    "catatonit": "catatonit",
    "debootstrap": "debootstrap",
    "haproxy": "haproxy",
    "nginx": "nginx",
    "openssl": "openssl",
    "pgbouncer": "pgbouncer",
    "podman": "podman",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "runc": "runc",
    "systemd-analyze": "systemd",
}
"""The Debian package of each program."""


def find(name: str) -> str:
    """The path of a program. Skips the running test where it is not installed; in CI, fails it."""
    path = shutil.which(name, path=None) or shutil.which(name, path="/usr/sbin:/sbin")
    return path or servers.skip(f"{name} was not found: apt-get install {PACKAGES[name]}")


def run(
    program: str | Path, *arguments: object, seconds: float = 60, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program, found by its name, and return its standard output. Raises RuntimeError with all it said if it
    fails. `environment`: variables besides those of this process."""
    command = [find(program) if isinstance(program, str) else str(program), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, env=os.environ | dict(environment or {})
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
