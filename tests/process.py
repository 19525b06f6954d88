"""Server processes, started by the command that operators use. Tests can stop, freeze and kill them.

Several processes on one database and bus serve the same rooms.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx

from tests.children import free_port
from tests.running_app import SECRET, RunningApp

START_SECONDS = 120.0
SERVE = "from roomcast.cli import main; main()"


class Process:
    """One process of `roomcast serve`, or of another `command`. It keeps its `url` when it is restarted."""

    def __init__(self, database_url: str, folder: Path, **settings: Any) -> None:
        self.command = [sys.executable, "-c", SERVE, "serve"]
        self.port = free_port()
        self.url, self.ws_url = f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}/graphql"
        chosen = {
            "database_url": database_url,
            "data_dir": folder / "data",
            "port": self.port,
            "secret_key": SECRET,
            "rate_limits": "off",
            "access_token_seconds": 86_400,  # a long test on a busy machine takes more than the default 15 minutes
            "log_format": "json",
            **settings,
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ROOMCAST_")}
        self.environment = clean | {f"ROOMCAST_{name.upper()}": str(value) for name, value in chosen.items()}
        self._folder = folder
        self._log = folder / f"{self.port}.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def app(self) -> RunningApp:
        """The process in the type that API clients take. They use its addresses only."""
        return cast(RunningApp, self)

    async def start(self) -> None:
        """Return when it is ready. Raises RuntimeError with its log if it ends instead."""
        child = self.spawn()
        async with asyncio.timeout(START_SECONDS):
            while await self.health() not in ("ok", "degraded"):
                if child.poll() is not None:
                    raise RuntimeError(self.log_text())
                await asyncio.sleep(0.05)

    def run_source(self, folder: Path) -> None:
        """Run the code in this folder from the next start on, instead of the code that is tested."""
        self.environment["PYTHONPATH"] = str(folder)

    async def run(self, *arguments: str) -> None:
        """Run another command with the settings of this process. Raises RuntimeError with its output if it fails."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", SERVE, *arguments]
        done = await asyncio.to_thread(
            lambda: subprocess.run(
                command, env=self.environment, cwd=self._folder, timeout=START_SECONDS, capture_output=True, text=True
            )
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start it without waiting until it is ready."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(self.command, env=self.environment, cwd=self._folder, stdout=log, stderr=log)
        return self._child

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    async def wait_for_end(self, seconds: float = 20.0) -> int:
        """Wait until it has ended and return its exit code."""
        assert self._child is not None
        return await asyncio.to_thread(self._child.wait, seconds)

    async def kill(self) -> None:
        """Stop it by SIGKILL, without any clean-up."""
        self.signal(signal.SIGKILL)
        await self.wait_for_end()

    async def stop(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                await self.wait_for_end()
            finally:
                self._child.kill()

    async def health(self) -> str:
        """The status that /health/ready tells, e.g. ok; empty while it accepts no connections."""
        try:
            async with httpx.AsyncClient() as http:
                return str((await http.get(f"{self.url}/health/ready", timeout=5)).json()["status"])
        except httpx.TransportError:
            return ""

    async def until_health(self, *statuses: str, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while await self.health() not in statuses:  # noqa: ASYNC110 (another process has to be polled)
                await asyncio.sleep(0.05)

    @property
    def memory_bytes(self) -> int:
        """Its resident memory (Linux)."""
        assert self._child is not None
        pages = int(Path(f"/proc/{self._child.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")


@asynccontextmanager
async def processes(count: int, database_url: str, folder: Path, **settings: Any) -> AsyncIterator[list[Process]]:
    """`count` processes on one database and bus. All have ended when the block ends."""
    async with AsyncExitStack() as stack:
        started = [Process(database_url, folder / str(number), **settings) for number in range(count)]
        for process in started:
            stack.push_async_callback(process.stop)
        await asyncio.gather(*(process.start() for process in started))
        yield started
