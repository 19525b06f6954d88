"""Child processes of tests: never run as root, each in its own directory, and both removed however the tests end."""

import os
import pwd
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 30.0


class Scratch:
    """A directory that one child process can access, and a guard that removes both if this process dies."""

    def __init__(self) -> None:
        self.path = _make_directory()
        # The shell waits until the pipe closes, which happens however this process ends, even after a SIGKILL.
        self._guard = subprocess.Popen(
            ["sh", "-c", 'read _; kill -9 "-$(cat "$1/pid")"; rm -rf "$1"', "guard", str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start the child process; stop it with `end`. Its standard error goes to the log."""
        log = self.path / "log"
        with log.open("ab") as stderr:
            hand_over(log)
            child = subprocess.Popen(
                command,
                cwd=self.path,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C must only reach the tests, which need their servers to clean up
                **_child_user_options(),
            )
        (self.path / "pid").write_text(str(child.pid))
        return child

    def end(self, child: subprocess.Popen[bytes], *, kill: bool) -> None:
        """Stop the child by SIGINT, or by SIGKILL. Returns when the child and all its children have ended.

        SIGKILL goes to its process group: the workers of a killed nginx would go on serving. PostgreSQL's children have
        groups of their own, and end by themselves.
        """
        if kill:
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.send_signal(signal.SIGINT)
        try:
            child.wait(LIMIT_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            (self.path / "pid").unlink(missing_ok=True)
        _wait_for_grandchildren(child)

    def log(self) -> str:
        return (self.path / "log").read_text(errors="replace")

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._guard.kill()
        self._guard.communicate()


def _wait_for_grandchildren(child: subprocess.Popen[bytes]) -> None:
    """Wait for PostgreSQL's children, which outlive a killed parent for a moment and keep its standard output open."""
    assert child.stdout is not None
    with child.stdout as output:
        poll = select.poll()  # select.select would refuse a descriptor beyond 1,024
        poll.register(output, select.POLLIN)
        while poll.poll(LIMIT_SECONDS * 1000):
            if not os.read(output.fileno(), 65536):
                return
    raise TimeoutError(f"children of {child.args!r} are still running")


def run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a short command as a child process and wait for its end."""
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=LIMIT_SECONDS, **_child_user_options()
    )


def hand_over(path: Path) -> None:
    """Make the user of the child processes the owner of a file, or of a directory and everything in it."""
    if user := _child_user():
        for each in (path, *path.rglob("*")):
            os.chown(each, user.pw_uid, user.pw_gid, follow_symlinks=False)


def free_port() -> int:
    """A free port below the ephemeral range, so that no client gets it while its server restarts."""
    while True:
        port = 16_000 + secrets.randbelow(16_000)
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


def _make_directory() -> Path:
    """A new temporary directory that child processes can write to: /var/tmp if only root can enter the usual place."""
    for parent in (tempfile.gettempdir(), "/var/tmp"):  # noqa: S108
        path = Path(tempfile.mkdtemp(prefix="roomcast-", dir=parent))
        hand_over(path)
        if run(["test", "-w", str(path)]).returncode == 0:
            return path
        path.rmdir()
    raise PermissionError("only root can enter the temporary directories: set TMPDIR to one that other users can enter")


def _child_user() -> pwd.struct_passwd | None:
    """The user that child processes run as, because PostgreSQL refuses to run as root. None for the current user."""
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]


def _child_user_options() -> dict[str, Any]:
    user = _child_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
