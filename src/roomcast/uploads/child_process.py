"""A child process that answers each line with a line. Methods block; `kill` may be called from any thread."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import roomcast

WORKER = "roomcast.uploads.picture_worker"

_INHERITED = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP")
"""The environment variables that a child needs to start. The others can hold secrets and are not passed on."""


class Child:
    """Starts with the first request. `answer_count`: the requests that it has answered."""

    def __init__(self, memory_bytes: int) -> None:
        self.answer_count = 0
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._is_killed = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def request(self, line: bytes) -> bytes:
        """The answer to this line; empty when the process has ended."""
        process = self._start()
        if process is None or process.stdin is None or process.stdout is None:
            return b""
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = process.stdout.readline()
        except (OSError, ValueError):  # it has ended; its pipes may be closed already
            return b""
        if not answer.endswith(b"\n"):
            return b""
        self.answer_count += 1
        return answer

    def kill(self) -> None:
        """End the process at once, or prevent its start. Call `reap` afterwards."""
        with self._lock:
            self._is_killed = True
            if self._process is not None:
                self._process.kill()

    def reap(self) -> int:
        """Wait for a killed or ended process, so that it does not stay a zombie. Returns the exit code."""
        with self._lock:
            process, self._process, self._is_killed = self._process, None, True
        if process is None:
            return 0
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # closing flushes, and the reader is gone
                    pipe.close()
        return code

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._process is None and not self._is_killed:
                self._process = subprocess.Popen(  # noqa: S603 (no argument comes from outside)
                    [sys.executable, "-P", "-m", WORKER, str(self._memory_bytes)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,  # decoders may print parts of the picture
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C reaches only the server, which then ends its children
                )
            return self._process


def _environment() -> dict[str, str]:
    found = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    package = str(Path(roomcast.__file__).parent.parent)
    return {**found, "PYTHONPATH": os.pathsep.join(filter(None, (package, found.get("PYTHONPATH"))))}
