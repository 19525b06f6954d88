"""The image of deploy/Dockerfile, and containers of it, by Debian's buildah, podman and runc.

Everything is under .cache/containers, so that a second run need not make the base image again. Containers use the
network of the machine: no other is needed, and bridges cannot be made everywhere.
"""

import fcntl
import json
import os
import resource
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests import servers
from tests.children import free_port
from tests.deployment.programs import find, run

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "containers"
BASE, IMAGE = "localhost/roomcast-base", "localhost/roomcast"
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
START_SECONDS = 60
BUILD_TRIES = 3

# Sockets lie in these folders, and their paths may have 107 characters at most.
RUN_FOLDER = Path("/run/roomcast-tests") / str(ROOT.stat().st_ino)
STORAGE = ("--root", str(CACHE / "storage"), "--runroot", str(RUN_FOLDER / "storage"))


def _allowed(kind: int, most: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)


LIMITS = {"nofile": _allowed(resource.RLIMIT_NOFILE, 65536), "nproc": _allowed(resource.RLIMIT_NPROC, 4096)}
"""As many as this machine allows: podman's defaults are more than some do."""

CERTIFICATES = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")


def podman_command(*arguments: object) -> list[str]:
    """A podman command on the storage of these tests. It needs no systemd and no control groups of version 2."""
    options = ("--runtime", find("runc"), "--cgroup-manager", "cgroupfs", "--events-backend", "none")
    return [find("podman"), *STORAGE, "--tmpdir", str(RUN_FOLDER / "podman"), *options, *map(str, arguments)]


def podman(*arguments: object, seconds: float = 60) -> str:
    """The output of a podman command. Raises RuntimeError if it fails."""
    program, *rest = podman_command(*arguments)
    CACHE.mkdir(parents=True, exist_ok=True)
    defaults = CACHE / "containers.conf"  # for what takes no options: the pods of `play kube`
    limits = [f"{name}={limit}:{limit}" for name, limit in LIMITS.items()]
    defaults.write_text(f"[containers]\ndefault_ulimits = {json.dumps(limits)}\n")
    return run(Path(program), *rest, seconds=seconds, environment={"CONTAINERS_CONF": str(defaults)})


# ------------------------------------------------------------------ the image


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build() -> str:
    """Build the image and return its name. It takes two minutes at the first time, and seconds if nothing changed."""
    for program in ("buildah", "podman", "runc", "debootstrap"):
        find(program)
    if os.geteuid():
        servers.skip("debootstrap and the storage of these tests need root")
    with _one_at_a_time():
        if not podman("images", "--quiet", BASE):
            base = CACHE / "base.tar"
            run(ROOT / "deploy" / "build-base.sh", base, seconds=900)
            podman("import", base, BASE, seconds=120)
            base.unlink()
        _build()
    return IMAGE


def _build() -> None:
    """Build from the base image. pip is told the certificates of this machine, as behind a proxy that inspects TLS.

    buildah starts itself for each step from a sealed copy of its program, which at times is refused as busy.
    """
    configuration = CACHE / "pip.conf"
    configuration.write_text("[global]\ncert = /run/secrets/ca.crt\n")
    for last in (False,) * (BUILD_TRIES - 1) + (True,):
        try:
            run(
                *("buildah", *STORAGE, "build", "--isolation", "chroot", "--network", "host", "--layers"),
                *("--format", "docker", "--timestamp", 0, "--build-arg", f"BASE={BASE}"),
                *("--secret", f"id=pip.conf,src={configuration}", "--secret", f"id=ca.crt,src={CERTIFICATES}"),
                *("--file", ROOT / "deploy" / "Dockerfile", "--tag", IMAGE, ROOT),
                seconds=900,
            )
            return
        except RuntimeError as error:
            if last or "sealing memfd" not in str(error):
                raise


# ------------------------------------------------------------------ containers of it


RUN_OPTIONS = (
    *("--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges"),
    *(f"--ulimit={name}={limit}:{limit}" for name, limit in LIMITS.items()),
    "--no-healthcheck",  # podman runs health checks by timers of systemd
    "--pull=never",
)


def logs(container: str) -> str:
    """What a container has printed and logged."""
    command = podman_command("logs", container)
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60).stdout


def state(container: str, field: str) -> str:
    return podman("inspect", f"--format={{{{.State.{field}}}}}", container).strip()


def until_ready(container: str, url: str) -> None:
    """Return when the server in a container is ready. Raises RuntimeError with its log if it ends instead."""
    end = time.monotonic() + START_SECONDS
    while not is_ready(url):
        if state(container, "Running") != "true" or time.monotonic() > end:
            raise RuntimeError(logs(container))
        time.sleep(0.1)


def is_ready(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200
    return False


class Container:
    """A container of the image with a read-only root and no capability. Settings are those of `ROOMCAST_…`.

    Its data folder is a volume, a name or a path, which outlives it. All methods block.
    """

    def __init__(self, volume: str | Path, *command: str, **settings: object) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        given = {"port": self.port, "host": "127.0.0.1", **settings}
        environment = [f"--env=ROOMCAST_{name.upper()}={value}" for name, value in given.items()]
        self._arguments = [*RUN_OPTIONS, f"--volume={volume}:/data", *environment, IMAGE, *command]
        self.id = ""

    def run(self) -> tuple[int, str]:
        """Run the command to its end. Returns its exit code, and what it printed and logged."""
        self.id = podman("run", "--detach", *self._arguments).strip()
        return int(podman("wait", self.id)), logs(self.id)

    def start(self) -> None:
        """Return when the server is ready. Raises RuntimeError with its log if it ends instead."""
        self.id = podman("run", "--detach", *self._arguments).strip()
        until_ready(self.id, self.url)

    def execute(self, *command: str) -> str:
        """The output of a command in the running container. Raises RuntimeError if it fails."""
        return podman("exec", self.id, *command)

    def stop(self) -> tuple[int, float]:
        """Stop it as container engines do, with ten seconds until SIGKILL. Returns its exit code and the seconds."""
        begin = time.monotonic()
        podman("stop", "--time=10", self.id)
        return int(state(self.id, "ExitCode")), time.monotonic() - begin

    def remove(self) -> None:
        if self.id:
            podman("rm", "--force", "--time=0", self.id)
